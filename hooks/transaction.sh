
# The guard's backbone: no branch of ours moves but through this. It is started for every change of every ref, so
# what is not ours costs a shell and nothing more. A move whose guarded paths are those of the trusted commit
# passes with two questions to git; every other one is judged by Python, and without Python it is refused.
# Also baked in:
#   places    pathspecs of where a module could be added that is imported before the one it is called like
#   standard  the names of such modules

theirs_next() {
	has_theirs || exit 0
	as_they_know_it
}

# Off our branches no other hook of ours is started, so what moved there is looked at here. A new id of zeros is a
# branch that is gone.
followed() {
	moved='' tip='' look=names_task
	while read -r old new ref; do
		all="$all$old $new $ref
"
		case $ref in
		# A commit is made where HEAD is.
		HEAD) look=head_names_task && continue ;;
		refs/heads/plan/* | refs/heads/bo4/*) continue ;;
		refs/heads/*) ;;
		*) continue ;;
		esac
		[ "$old" != "$new" ] || continue
		case $new in *[!0]*) moved=$ref tip=$new ;; esac
		# When git packs its refs it names them all.
		many=$many.
	done
	[ -z "$moved" ] || [ ${#many} -gt 2 ] || ! "$look" "$tip" || follow moved "$moved"
}

[ "$1" = prepared ] || {
	if [ "$1" = committed ] && [ "$advance" = here ] && has_plans; then
		all='' many=.
		followed
		theirs_next
		printf %s "$all" | "$theirs" "$@"
		exit
	fi
	theirs_next
	exec "$theirs" "$@"
}

# Whether git finds nothing of guarded paths changed, by the patterns kept for that ref: its name, what to compare
# with, the patterns, 'end'. They are read as data, never run.
same() {
	list=$planner/guards/$1
	new=$2
	[ -r "$list" ] || return 1
	set --
	{
		IFS= read -r line && [ "$line" = "git-planner guard 2 $ref" ] || return 1
		IFS= read -r against || return 1
		while IFS= read -r line && [ "$line" != end ]; do
			set -- "$@" "$line"
		done
	} <"$list"
	[ "$line" = end ] || return 1
	ask diff-tree -r --quiet --no-renames --no-ext-diff --ignore-submodules=none "$against" "$new" -- "$@" \
		2>/dev/null && no_shadow
}

# Whether nothing was added that has a standard module's name.
no_shadow() {
	set -f
	# shellcheck disable=SC2086
	added=$(ask diff-tree -r --name-only --diff-filter=AT --no-renames --no-ext-diff --ignore-submodules=none \
		"$against" "$new" -- $places 2>/dev/null) || added=src
	IFS='
'
	shadow=''
	for path in $added; do
		path=${path#src/}
		path=${path#lib/}
		path=${path%%/*}
		case $path in src | lib) shadow=$path ;; esac
		case $standard in *" ${path%%.*} "*) shadow=$path ;; esac
	done
	unset IFS
	set +f
	[ -z "$shadow" ]
}

all='' unsure='' many=.
while read -r old new ref; do
	all="$all$old $new $ref
"
	case $ref in
	refs/heads/iter/* | refs/heads/plan/* | refs/heads/bo4/*)
		# A branch may go.
		case $new in *[!0]*) ;; *) continue ;; esac
		[ "$old" != "$new" ] || continue
		# When git packs its refs it names them all.
		many=$many.
		[ ${#many} -lt 8 ] && same "$ref" "$new" && continue
		;;
	refs/planner/iterations/*) ;;
	*) continue ;;
	esac
	unsure="$unsure$old $new $ref
"
done
[ -z "$unsure" ] || printf %s "$unsure" | judge || exit

theirs_next
printf %s "$all" | "$theirs" "$@"
