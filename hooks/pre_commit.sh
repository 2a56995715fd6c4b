
# The guard before a commit, for an early error with a hint. Python starts only if a governed path is staged.
# Also baked in:
#   prefixes   the name prefixes of managed branches
#   documents  patterns of the documents that are validated against their schemas
# The guard fails closed: Python checks every doubtful case, and without Python the commit is refused.

on_managed_branch() {
	[ "$place" = ordinary ] || return 0
	branch=$(query_git symbolic-ref -q HEAD) || return 1
	for prefix in $prefixes; do
		case $branch in "refs/heads/$prefix"*) return 0 ;; esac
	done
	return 1
}

# Succeed if a governed path is staged, or in doubt. Patterns are cached per branch, by reference-transaction, and
# per policy, in a file named after the policy's object id.
has_governed_change() {
	on_managed_branch || return 1
	own=${GIT_DIR:-.git}
	[ -r "$own/HEAD" ] && read -r head <"$own/HEAD" && read_patterns "${head#ref: }" || {
		policy=$(query_git rev-parse -q --verify HEAD:.git-planner.yml) || policy=none
		read_patterns "$policy" || return 0
	}
	globs="$globs$documents"
	! no_guarded_change diff-index --cached "$against"
}

guard() {
	! has_governed_change || check_with_python
}

guard || exit
has_theirs || exit 0
restore_hooks_path
"$theirs" "$@" || exit
# The repository's own hook may have staged a file.
guard
