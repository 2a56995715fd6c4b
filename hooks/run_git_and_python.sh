# A git whose answers can't be bent by what the person's command line or environment says about paths or objects.
ask() {
	GIT_LITERAL_PATHSPECS=0 GIT_GLOB_PATHSPECS=0 GIT_NOGLOB_PATHSPECS=0 GIT_ICASE_PATHSPECS=0 \
		GIT_NO_REPLACE_OBJECTS=1 git "$@" </dev/null
}

# The same for $(answer …), which is a shell of its own: git takes its place.
answer() {
	export GIT_LITERAL_PATHSPECS=0 GIT_GLOB_PATHSPECS=0 GIT_NOGLOB_PATHSPECS=0 GIT_ICASE_PATHSPECS=0 \
		GIT_NO_REPLACE_OBJECTS=1
	exec git "$@" </dev/null
}

# Python's judgement. Also baked in:
#   python    the interpreter that installed this
#   code      the folders that hold git_planner and what it needs: looking for them takes Python 5 ms
judge() {
	if [ ! -x "$python" ]; then
		echo "error: the guard cannot judge this: its Python is gone, '$python' (E_HOOKS)" >&2
		echo "hint: run 'git planner hooks install' with the git-planner that you have now" >&2
		return 3
	fi
	"$python" -I -S -c '
import sys
sys.path += sys.argv.pop(1).splitlines()
try:
    from git_planner.gate import main
except ImportError as error:
    hint = "run \"git planner hooks install\" with the git-planner that you have now"
    sys.exit(f"error: the guard cannot judge this: {error} (E_HOOKS)\nhint: {hint}")
sys.exit(main(sys.argv[1:]))
' "$code" "$hook" "$planner"
}
