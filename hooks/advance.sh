
# After a commit, a merge or a rewrite the plan follows; before a commit the tasks that it names are looked up.

theirs() {
	has_theirs || return 0
	(as_they_know_it && exec "$theirs" "$@")
}

# The branch that HEAD is on. In the middle of a rebase it is on none, and the end of the rebase comes here again.
on_branch() {
	own=${GIT_DIR:-.git}
	if [ -r "$own/HEAD" ] && read -r head <"$own/HEAD"; then
		case $head in
		'ref: refs/heads/.invalid') ;;
		'ref: refs/heads/plan/'*) return 1 ;;
		'ref: refs/heads/'*)
			head=${head#ref: }
			return 0
			;;
		*) return 1 ;;
		esac
	fi
	head=$(ask symbolic-ref -q HEAD)
}

# Whether a message names one task, and that is open. Documents of ours are written in one form only, so what is
# said of a task is told by its lines; whatever does not fit is looked at by Python, which takes ten times as long.
surely_open() {
	case $1 in *:1:[Tt][Aa][Ss][Kk][_-][0-9]*) ;; *) return 1 ;; esac
	number=${1#*:1:?????}
	number=${number%%[!0-9]*}
	while :; do case $number in 0?*) number=${number#0} ;; *) break ;; esac done
	[ ${#number} -lt 9 ] && [ "$number" -gt 0 ] || return 1
	plan=$(ask cat-file blob HEAD:.advisor/state.json 2>/dev/null | sed -n 's/^  "plan": "\(.*\)",*$/\1/p')
	[ -n "$plan" ] || plan=${GIT_PLANNER_PLAN:-$(ask config planner.plan)}
	plan=${plan:-default} page=plan.json
	[ "$number" -le 200 ] || page=$(printf 'plan-%04d.json' $(((number - 1) / 200 + 1)))
	id=$(printf 'task_%03d' "$number")
	status=$(ask cat-file blob "refs/heads/plan/$plan:.plans/$plan/$page" 2>/dev/null |
		sed -n "/^      \"id\": \"$id\",\$/,/^      \"uid\"/s/^      \"status\": \"\(.*\)\",\$/\1/p")
	case $status in
	todo | in_progress | blocked | needs_input | agent_done | review_ready) return 0 ;;
	*) return 1 ;;
	esac
}

case $hook in
commit-msg)
	# Theirs may still change the message.
	theirs "$@" || exit
	has_plans || exit 0
	found=$(grep -aniE -m 2 "^$task|^planner-(task|plan):" "$1") || exit 0
	surely_open ":$found" && exit
	follow commit-msg "$1"
	exit
	;;
post-commit)
	has_plans && on_branch && head_names_task HEAD && follow "$hook" "$head"
	;;
post-merge)
	# A squashed merge is committed by the person, later.
	[ "$1" = 1 ] || ! has_plans || ! on_branch || follow "$hook" "$head"
	;;
post-rewrite)
	has_plans && on_branch && follow "$hook" "$head"
	;;
esac

has_theirs || exit 0
as_they_know_it
exec "$theirs" "$@"
