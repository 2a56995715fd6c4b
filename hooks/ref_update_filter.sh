
# Runs on every ref update, so an irrelevant one must not start another process. Collect the updates that the guard
# has to check before they are made, and the branch that plans may follow afterwards. Git 2.54 also runs it before refs
# are locked ('preparing'), and since 2.46 the old and new value of a symbolic ref is 'ref:' with its target.

run_theirs() {
	has_theirs || exit 0
	restore_hooks_path
	[ -n "$all" ] || exec "$theirs" "$1"
	# Theirs need not read it; a broken pipe is no error.
	printf %s "$all" 2>/dev/null | "$theirs" "$1"
	exit
}

all='' managed='' moved='' tip='' many=.
[ "$1" = prepared ] || { [ "$1" = committed ] && has_plans; } || run_theirs "$1"
while read -r old new ref; do
	line="$old $new $ref
"
	all=$all$line
	case $ref in
	refs/heads/*) [ "$old" != "$new" ] || continue ;;
	refs/planner/iterations/*) ;;
	*) continue ;;
	esac
	case $ref in
	refs/heads/iter/*) managed=$managed$line ;;
	refs/heads/plan/* | refs/heads/bo4/* | refs/planner/*) managed=$managed$line && continue ;;
	esac
	# A new id of zeros deletes the branch. 'git pack-refs' lists every branch.
	case $new in ref:*) ;; *[!0]*) moved=$ref tip=$new many=$many. ;; esac
done
case $1 in prepared) relevant=$managed ;; *) relevant=$moved ;; esac
[ -n "$relevant" ] || run_theirs "$1"
