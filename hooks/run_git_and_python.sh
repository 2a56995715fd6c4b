# Also baked in, from gitio/git.py:
#   dropped   variables that no git gets
#   fixed     variables that every git gets, with their values

# Run git in that environment; exec replaces the subshell, so only for $(query_git …) and in pipes.
# shellcheck disable=SC2086
query_git() {
	unset $dropped
	export $fixed
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
