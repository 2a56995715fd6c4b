# Advancing plans. All of this is a convenience: whatever goes wrong here is said, and the commit stands. What is
# missed is made up for by the next hook, or by 'git plan sync'.

# What a message must hold to be of interest; Python looks closely.
task='((fixup|squash|amend)! )*task[_-][0-9]+[[:space:]]*:'

# Whether anybody has looked at a plan here yet; without one there is nothing to follow, and git is not even asked.
has_plans() {
	[ -d "$planner/cache/pages" ]
}

# Whether a commit names a task or takes another one back.
names_task() {
	found=$(ask log --no-walk --format=%h --no-show-signature -E -i --grep="^(    )?$task" \
		--grep='^(    )?planner-task:' --grep='^this reverts commit ' "$1" -- 2>/dev/null) || return 1
	[ -n "$found" ]
}

# The same for a commit that was made where HEAD is. The message of an ordinary one was written after the index,
# and looking into its file takes half as long as asking git.
head_names_task() {
	own=${GIT_DIR:-.git}
	if [ "$own/COMMIT_EDITMSG" -nt "$own/index" ]; then
		grep -aqiE "^(    )?$task|^(    )?planner-task:|^this reverts commit " "$own/COMMIT_EDITMSG"
	else
		names_task "$1"
	fi
}

# Python's part: the stage, then what is special about it.
follow() {
	if [ ! -x "$python" ]; then
		echo "warning: the plan does not follow: the Python of its hooks is gone, '$python' (E_HOOKS)" >&2
		return 0
	fi
	"$python" -I -c '
import gc, os, sys
gc.disable()
sys.path.append(sys.argv.pop(1))
try:
    from git_planner.gate import main
except ImportError as error:
    sys.stderr.write(f"warning: the plan does not follow: {error} (E_HOOKS)\n")
    os._exit(0)
status = main(sys.argv[1:])
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)
' "$code" "$1" "$planner" "$2" </dev/null
}
