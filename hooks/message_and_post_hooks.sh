
# Before a commit the tasks that its message names are looked up. After a merge or a rewrite on a branch of ours the
# plan follows where the branch's tip alone, which the hook of moving refs looks at, does not tell of it.

theirs() {
	has_theirs || return 0
	(as_they_know_it && exec "$theirs" "$@")
}

# The branch that HEAD is on, unless it is a plan's. In the middle of a rebase it is on none, and the end of the
# rebase comes here again.
on_branch() {
	own=${GIT_DIR:-.git}
	if ! { [ -r "$own/HEAD" ] && read -r head <"$own/HEAD" && [ "$head" != 'ref: refs/heads/.invalid' ]; }; then
		head="ref: $(answer symbolic-ref -q HEAD)" || return 1
	fi
	case $head in 'ref: refs/heads/plan/'*) return 1 ;; 'ref: refs/heads/'*) head=${head#ref: } ;; *) return 1 ;; esac
}

# Whether a message names one task, and that is open. Documents of ours are written in one form only, so what is
# said of a task is told by its lines; whatever does not fit is looked at by Python, which takes ten times as long.
surely_open() {
	case $named$naming in .[Tt][Aa][Ss][Kk][_-][0-9]*) ;; *) return 1 ;; esac
	number=${naming#?????}
	number=${number%%[!0-9]*}
	while :; do case $number in 0?*) number=${number#0} ;; *) break ;; esac done
	[ ${#number} -lt 9 ] && [ "$number" -gt 0 ] && on_branch || return 1
	plan=''
	case $head in
	refs/heads/iter/*)
		lines HEAD .advisor/state.json -e '^  "plan": "'
		plan=${found#*: ?} plan=${plan%%?,*}
		;;
	esac
	[ -n "$plan" ] || plan=${GIT_PLANNER_PLAN:-$(answer config planner.plan)}
	plan=${plan:-default} page=plan.json
	[ "$number" -le 200 ] || page=$(printf 'plan-%04d.json' $(((number - 1) / 200 + 1)))
	lines "refs/heads/plan/$plan" ".plans/$plan/$page" -A 60 \
		-e "$(printf '^      "id": "task_%03d",$' "$number")"
	status=${found#*
      \"status\": ?} status=${status%%?,*}
	case $status in
	todo | in_progress | blocked | needs_input | agent_done | review_ready) return 0 ;;
	*) return 1 ;;
	esac
}

# Lines of a file in a commit.
lines() {
	at=$1 file=$2
	shift 2
	found=$(answer -c grep.threads=1 grep -G -a -h --no-line-number --no-column --no-color --no-recurse-submodules \
		"$@" "$at" -- "$file" 2>/dev/null)
}

case $hook in
commit-msg)
	# Theirs may still change the message.
	theirs "$@" || exit
	has_plans || exit 0
	read_message <"$1"
	[ -z "$named" ] || surely_open || follow commit-msg "$1"
	exit
	;;
post-merge)
	# A squashed merge is committed by the person, later.
	[ "$1" = 1 ] || ! has_plans || ! on_branch || follow "$hook" "$head"
	;;
post-rewrite)
	has_plans && on_branch && { [ "$1" = amend ] && head_names_task HEAD || follow "$hook" "$head"; }
	;;
esac

has_theirs || exit 0
as_they_know_it
exec "$theirs" "$@"
