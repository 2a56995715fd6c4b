
# commit-msg checks the task ids in the message. post-merge and post-rewrite update the plan where the branch's tip
# alone, which reference-transaction looks at, does not name every task.

run_theirs() {
	has_theirs || return 0
	(restore_hooks_path && exec "$theirs" "$@")
}

# Set 'head' to HEAD's branch; fail on a plan branch and on a detached HEAD. A rebase detaches HEAD, and its end
# runs this hook again.
on_branch() {
	own=${GIT_DIR:-.git}
	if ! { [ -r "$own/HEAD" ] && read -r head <"$own/HEAD" && [ "$head" != 'ref: refs/heads/.invalid' ]; }; then
		head="ref: $(query_git symbolic-ref -q HEAD)" || return 1
	fi
	case $head in 'ref: refs/heads/plan/'*) return 1 ;; 'ref: refs/heads/'*) head=${head#ref: } ;; *) return 1 ;; esac
}

# Succeed if the message names exactly one task, and that is open. Plans have a canonical form, so 'git grep' can
# find a task's status. Python checks everything else, which takes ten times as long.
names_open_task() {
	case $named$naming in .[Tt][Aa][Ss][Kk][_-][0-9]*) ;; *) return 1 ;; esac
	number=${naming#?????}
	number=${number%%[!0-9]*}
	while :; do case $number in 0?*) number=${number#0} ;; *) break ;; esac done
	[ ${#number} -lt 9 ] && [ "$number" -gt 0 ] && on_branch || return 1
	plan=''
	case $head in
	refs/heads/iter/*)
		grep_file HEAD .advisor/state.json -e '^  "plan": "'
		plan=${matches#*: ?} plan=${plan%%?,*}
		;;
	esac
	[ -n "$plan" ] || plan=${GIT_PLANNER_PLAN:-$(query_git config planner.plan)}
	plan=${plan:-default} page=plan.json
	[ "$number" -le "$page_size" ] || page=$(printf 'plan-%04d.json' $(((number - 1) / page_size + 1)))
	grep_file "refs/heads/plan/$plan" ".plans/$plan/$page" -A 60 \
		-e "$(printf '^      "id": "task_%03d",$' "$number")"
	status=${matches#*
      \"status\": ?} status=${status%%?,*}
	case $status in
	todo | in_progress | blocked | needs_input | agent_done | review_ready) return 0 ;;
	*) return 1 ;;
	esac
}

# Set 'matches' to the matching lines of a file in a commit.
grep_file() {
	commit=$1 file=$2
	shift 2
	matches=$(query_git -c grep.threads=1 grep -G -a -h --no-line-number --no-column --no-color --no-recurse-submodules \
		"$@" "$commit" -- "$file" 2>/dev/null)
}

case $hook in
commit-msg)
	# The repository's own hook may change the message.
	run_theirs "$@" || exit
	has_plans || exit 0
	read_message <"$1"
	[ -z "$named" ] || names_open_task || run_plan_hook commit-msg "$1"
	exit
	;;
post-merge)
	# 'merge --squash' makes no commit.
	[ "$1" = 1 ] || ! has_plans || ! on_branch || run_plan_hook "$hook" "$head"
	;;
post-rewrite)
	has_plans && on_branch && { [ "$1" = amend ] && head_names_task HEAD || run_plan_hook "$hook" "$head"; }
	;;
esac

has_theirs || exit 0
restore_hooks_path
exec "$theirs" "$@"
