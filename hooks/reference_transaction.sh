
# The guard's backbone: no branch of ours moves but through this. What is not surely harmless is judged by Python, and
# without Python it is refused.

[ "$1" = prepared ] || {
	[ ${#many} -gt 2 ] || ! "$look" "$tip" || follow moved "$moved"
	theirs_next "$1"
}

unsure='' many=.
while read -r old new ref; do
	case $ref in
	'') continue ;;
	refs/heads/*)
		# A branch may go.
		case $new in *[!0]*) ;; *) continue ;; esac
		many=$many.
		[ ${#many} -lt 8 ] && kept "$ref" && harmless diff-tree -r "$against" "$new" && continue
		;;
	esac
	unsure="$unsure$old $new $ref
"
done <<END
$ours
END
[ -z "$unsure" ] || printf %s "$unsure" | judge || exit
theirs_next "$1"
