
# The guard before a commit: it speaks early and says what to do. Python starts only when something governed is staged.
# Also baked in:
#   prefixes   the beginnings of the names of our branches
#   documents  patterns of the documents that are judged by their schemas
# The guard fails closed: whatever can't be answered here is judged by Python, and without Python it is refused.

on_our_branch() {
	[ "$place" = ordinary ] || return 0
	branch=$(git symbolic-ref -q HEAD) || return 1
	for prefix in $prefixes; do
		case $branch in "refs/heads/$prefix"*) return 0 ;; esac
	done
	return 1
}

# Whether something governed is staged, or can't be told to be not. Patterns are kept for each branch, by the hook
# that judges its moves, and for each policy, in a file named by the policy's object id.
governed() {
	on_our_branch || return 1
	own=${GIT_DIR:-.git}
	[ -r "$own/HEAD" ] && read -r head <"$own/HEAD" && kept "${head#ref: }" || {
		policy=$(answer rev-parse -q --verify HEAD:.git-planner.yml) || policy=none
		kept "$policy" || return 0
	}
	globs="$globs$documents"
	! harmless diff-index --cached "$against"
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
