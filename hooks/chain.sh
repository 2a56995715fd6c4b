# Part of every installed hook. The lines before this one were baked in by `git planner hooks install`:
#   hook     the name git calls this hook by
#   theirs   the hook that the repository had under that name, there or not
#   planner  our folder in the common git directory
#   common   that directory as a pattern for git's `gitdir:` condition
#   place    'include' or 'ordinary': whether git starts this only on our branches, or everywhere

has_theirs() {
	[ -f "$theirs" ] && [ -x "$theirs" ]
}

# Whether anybody has looked at a plan here yet; without one there is nothing to follow, and git is not even asked.
has_plans() {
	[ -d "$planner/cache/pages" ]
}

# To the repository's own hooks core.hooksPath is what it would be without us: lefthook, for one, rewrites the
# hooks where core.hooksPath points whenever its settings have changed. Bound to this repository by `gitdir:`,
# because a hook may go on to another one.
as_they_know_it() {
	[ "$place" = include ] || return 0
	n=${GIT_CONFIG_COUNT:-0}
	for where in "$common" "$common/worktrees/"; do
		export "GIT_CONFIG_KEY_$n=includeIf.gitdir:$where.path" "GIT_CONFIG_VALUE_$n=$planner/theirs.inc"
		n=$((n + 1))
	done
	export GIT_CONFIG_COUNT="$n"
}
