
# Every change of every ref starts this, so what is of no interest to us costs a shell and nothing more: which moves
# have to be judged before they are made, and which branch a plan may follow afterwards.

theirs_next() {
	has_theirs || exit 0
	as_they_know_it
	[ -n "$all" ] || exec "$theirs" "$1"
	printf %s "$all" | "$theirs" "$1"
	exit
}

all='' ours='' moved='' tip='' look=names_task many=.
[ "$1" = prepared ] || { [ "$1" = committed ] && has_plans; } || theirs_next "$1"
while read -r old new ref; do
	line="$old $new $ref
"
	all=$all$line
	case $ref in
	# A commit is made where HEAD is, and then its message is at hand.
	HEAD) look=head_names_task && continue ;;
	refs/heads/*) [ "$old" != "$new" ] || continue ;;
	refs/planner/iterations/*) ;;
	*) continue ;;
	esac
	case $ref in
	refs/heads/iter/*) ours=$ours$line ;;
	refs/heads/plan/* | refs/heads/bo4/* | refs/planner/*) ours=$ours$line && continue ;;
	esac
	# A new id of zeros is a branch that is gone. When git packs its refs it names them all.
	case $new in *[!0]*) moved=$ref tip=$new many=$many. ;; esac
done
case $1 in prepared) interest=$ours ;; *) interest=$moved ;; esac
[ -n "$interest" ] || theirs_next "$1"
