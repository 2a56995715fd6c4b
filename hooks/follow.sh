# Advancing plans. All of this is a convenience: whatever goes wrong here is said, and the commit stands. What is
# missed is made up for by the next hook, or by 'git plan sync'.

# What a message must hold to be of interest; Python looks closely.
task='((fixup|squash|amend)! )*task[_-][0-9]+[[:space:]]*:'

# Whether one of some commits names a task or takes another one back.
names_task() {
	found=$(ask log --no-walk --format=%h --no-show-signature -E -i --grep="^(    )?$task" \
		--grep='^(    )?planner-task:' --grep='^this reverts commit ' "$@" -- 2>/dev/null) || return 1
	[ -n "$found" ]
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
