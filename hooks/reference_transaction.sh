
# The guard's backbone: every update of a managed branch passes here. Python checks every doubtful update, and
# without Python the update is refused.

[ "$1" = prepared ] || {
	[ ${#many} -gt 2 ] || ! "$look" "$tip" || run_plan_hook moved "$moved"
	run_theirs "$1"
}

doubtful='' many=.
while read -r old new ref; do
	case $ref in
	'') continue ;;
	refs/heads/*)
		# A branch may be deleted.
		case $new in *[!0]*) ;; *) continue ;; esac
		many=$many.
		[ ${#many} -lt 8 ] && read_patterns "$ref" && no_guarded_change diff-tree -r "$against" "$new" && continue
		;;
	esac
	doubtful="$doubtful$old $new $ref
"
done <<END
$managed
END
[ -z "$doubtful" ] || printf %s "$doubtful" | check_with_python || exit
run_theirs "$1"
