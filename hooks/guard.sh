
# The guard. Two questions to git; Python starts only when a governed path is staged. Also baked in:
#   prefixes  the beginnings of the names of our branches
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

guard() {
	asked_elsewhere || ! governed || judge
}

guard || exit
has_theirs || exit 0
as_they_know_it
"$theirs" "$@" || exit
# Their hook may have staged something.
guard
