
# The guard's backbone: every update of a managed branch passes here. Python checks every doubtful update, and
# without Python the update is refused.

# A new commit on HEAD's branch has its message in a file, too.
moved_names_task() {
	read -r head <"${GIT_DIR:-.git}/HEAD" && [ "$head" = "ref: $moved" ] && look=head_names_task || look=names_task
	"$look" "$tip"
}

[ "$1" = prepared ] || {
	[ ${#many} -gt 2 ] || ! moved_names_task || run_plan_hook moved "$moved"
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
[ -z "$doubtful" ] || printf %s "$doubtful" 2>/dev/null | check_with_python || exit
run_theirs "$1"
