# Run git unaffected by the caller's pathspec and replace-object settings.
run_git() {
	GIT_LITERAL_PATHSPECS=0 GIT_GLOB_PATHSPECS=0 GIT_NOGLOB_PATHSPECS=0 GIT_ICASE_PATHSPECS=0 \
		GIT_NO_REPLACE_OBJECTS=1 git "$@" </dev/null
}

# The same for $(query_git …): exec replaces the subshell, which saves a process.
query_git() {
	export GIT_LITERAL_PATHSPECS=0 GIT_GLOB_PATHSPECS=0 GIT_NOGLOB_PATHSPECS=0 GIT_ICASE_PATHSPECS=0 \
		GIT_NO_REPLACE_OBJECTS=1
	exec git "$@" </dev/null
}

# Run the guard in Python. Also baked in:
#   python    the interpreter that installed this
#   code      the folders that hold git_planner and its dependencies: finding them takes Python 5 ms
check_with_python() {
	if [ ! -x "$python" ]; then
		echo "error: the guard could not check this change: its Python does not exist, '$python' (E_HOOKS)" >&2
		echo "hint: run 'git planner hooks install' with the current git-planner" >&2
		return 3
	fi
	"$python" -I -S -c '
import sys
sys.path += sys.argv.pop(1).splitlines()
try:
    from git_planner.gate import main
except ImportError as error:
    hint = "run \"git planner hooks install\" with the current git-planner"
    sys.exit(f"error: the guard could not check this change: {error} (E_HOOKS)\nhint: {hint}")
sys.exit(main(sys.argv[1:]))
' "$code" "$hook" "$planner"
}
