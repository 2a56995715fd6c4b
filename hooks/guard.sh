
# The guard. Two questions to git; Python starts only when a governed path is staged. Also baked in:
#   python    the interpreter that installed this
#   code      the folder that holds the package git_planner
#   prefixes  the beginnings of the names of our branches
# The guard fails closed: whatever can't be answered here is judged by Python, and without Python it is refused.

# A git whose answers can't be bent by what the person's command line or environment says about paths or objects.
ask() {
	GIT_LITERAL_PATHSPECS=0 GIT_GLOB_PATHSPECS=0 GIT_NOGLOB_PATHSPECS=0 GIT_ICASE_PATHSPECS=0 \
		GIT_NO_REPLACE_OBJECTS=1 git "$@"
}

on_our_branch() {
	[ "$place" = ordinary ] || return 0
	branch=$(git symbolic-ref -q HEAD) || return 1
	for prefix in $prefixes; do
		case $branch in "refs/heads/$prefix"*) return 0 ;; esac
	done
	return 1
}

# Whether something governed is staged, or can't be told to be not. The patterns of each policy are kept, as git
# pathspecs, in a file named by the policy's object id. It is read as data, never run.
governed() {
	on_our_branch || return 1
	policy=$(ask rev-parse -q --verify HEAD:.git-planner.yml) || policy=none
	list=$planner/guards/$policy
	[ -r "$list" ] || return 0
	set --
	{
		IFS= read -r line && [ "$line" = "git-planner guard 1 $policy" ] || return 0
		while IFS= read -r line && [ "$line" != end ]; do
			set -- "$@" "$line"
		done
	} <"$list"
	[ "$line" = end ] || return 0
	! ask diff-index --cached --quiet --no-renames --no-ext-diff --ignore-submodules=none HEAD -- "$@" 2>/dev/null
}

judge() {
	if [ ! -x "$python" ]; then
		echo "error: the guard cannot judge this commit: its Python is gone, '$python' (E_HOOKS)" >&2
		echo "hint: run 'git planner hooks install' with the git-planner that you have now" >&2
		return 3
	fi
	"$python" -I -c '
import sys
sys.path.append(sys.argv.pop(1))
try:
    from git_planner.gate import main
except ImportError as error:
    hint = "run \"git planner hooks install\" with the git-planner that you have now"
    sys.exit(f"error: the guard cannot judge this commit: {error} (E_HOOKS)\nhint: {hint}")
sys.exit(main(sys.argv[1:]))
' "$code" "$hook" "$planner"
}

guard() {
	! governed || judge
}

guard || exit
has_theirs || exit 0
as_they_know_it
"$theirs" "$@" || exit
# Their hook may have staged something.
guard
