# Part of every installed hook. `git planner hooks install` wrote the lines before this one:
#   hook     git's name of this hook
#   theirs   the path of the repository's own hook of that name, which may not exist
#   planner  the 'planner' folder in the common git directory
#   plans_marker  the file that is there once a plan is known here
#   common   the common git directory, as a pattern for git's `gitdir:` condition
#   place    'include' or 'ordinary': whether git starts this on managed branches only, or on every branch

has_theirs() {
	[ -f "$theirs" ] && [ -x "$theirs" ]
}

# Return 0 if a command has read a plan in this repository; otherwise there is nothing to update.
has_plans() {
	[ -e "$plans_marker" ]
}

# Show the repository's own hooks the core.hooksPath they would see without this program: lefthook rewrites the
# hooks there after a change of its settings. `gitdir:` limits that to this repository, as a hook may enter another.
restore_hooks_path() {
	[ "$place" = include ] || return 0
	n=${GIT_CONFIG_COUNT:-0}
	for where in "$common" "$common/worktrees/"; do
		export "GIT_CONFIG_KEY_$n=includeIf.gitdir:$where.path" "GIT_CONFIG_VALUE_$n=$planner/theirs.inc"
		n=$((n + 1))
	done
	export GIT_CONFIG_COUNT="$n"
}

# A copy of the repository ('cp -r') starts the hooks of the original until they are installed again. In a copy, and in
# a repository that was moved, use the files of the repository that git works in: its patterns, plans and own hooks.
in_a_copy() {
	own=$(CDPATH='' cd -- "$own" && pwd -P) || return 0
	original=${planner%/planner}
	case $theirs in "$original"/*) theirs=$own${theirs#"$original"} ;; esac
	plans_marker=$own/planner${plans_marker#"$planner"}
	planner=$own/planner common=$own
}

own=${GIT_DIR:-.git}
# The git directory of a linked worktree names the common one.
if [ -r "$own/commondir" ] && read -r shared <"$own/commondir"; then
	case $shared in /*) own=$shared ;; *) own=$own/$shared ;; esac
fi
# shellcheck disable=SC3013 # dash, bash, ksh, zsh and busybox have it
[ "$own/planner" -ef "$planner" ] || in_a_copy
