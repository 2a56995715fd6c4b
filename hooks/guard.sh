
# The guard. A question to git, or two; Python starts only when a governed path is staged. Also baked in:
#   prefixes   the beginnings of the names of our branches
#   documents  pathspecs of the documents that are judged by their schemas
# The guard fails closed: whatever can't be answered here is judged by Python, and without Python it is refused.

on_our_branch() {
	[ "$place" = ordinary ] || return 0
	branch=$(git symbolic-ref -q HEAD) || return 1
	for prefix in $prefixes; do
		case $branch in "refs/heads/$prefix"*) return 0 ;; esac
	done
	return 1
}

# Where pre-commit has been asked, or reference-transaction will be, there is nothing left to say. In the middle of
# a cherry-pick or a revert it is kinder to stop before the message is written.
asked_elsewhere() {
	[ "$hook" = prepare-commit-msg ] || return 1
	own=${GIT_DIR:-.git}
	[ ! -e "$own/CHERRY_PICK_HEAD" ] && [ ! -e "$own/REVERT_HEAD" ]
}

# Read a list of git pathspecs as data, never run: its first line, what to compare with, the patterns, 'end'.
patterns() {
	list=$planner/guards/$1
	[ -r "$list" ] || return 1
	specs=''
	{
		IFS= read -r line && [ "$line" = "$2" ] || return 1
		IFS= read -r against || return 1
		while IFS= read -r line && [ "$line" != end ]; do
			specs="$specs$line
"
		done
	} <"$list"
	[ "$line" = end ]
}

# Whether something governed is staged, or can't be told to be not. Patterns are kept for each branch, by the hook
# that judges its moves, and for each policy, in a file named by the policy's object id.
governed() {
	on_our_branch || return 1
	own=${GIT_DIR:-.git}
	if [ -r "$own/HEAD" ] && read -r head <"$own/HEAD" && head=${head#ref: } &&
		patterns "$head" "git-planner guard 2 $head"; then
		specs="$specs$documents
"
	else
		policy=$(ask rev-parse -q --verify HEAD:.git-planner.yml) || policy=none
		patterns "$policy" "git-planner guard 1 $policy" || return 0
	fi
	set -f
	IFS='
'
	# shellcheck disable=SC2086
	set -- $specs
	unset IFS
	set +f
	! ask diff-index --cached --quiet --no-renames --no-ext-diff --ignore-submodules=none "$against" -- "$@" \
		2>/dev/null
}

guard() {
	asked_elsewhere || ! governed || judge
}

guard || exit
has_theirs || exit 0
as_they_know_it
"$theirs" "$@" || exit
# Their hook may have staged something.
guard
