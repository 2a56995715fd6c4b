
# Fast path: succeed only if no changed path can match a guarded pattern. It costs one git call; Python checks every
# doubtful case.
# Also baked in:
#   always_guarded  patterns that are guarded under every policy
#   stdlib          module names that must not be added where they would shadow the standard ones

# Read the cached patterns of a name: header, commit to compare with, names of guarded modules and the test runner's,
# patterns that match at least every guarded path, 'end'. They are data and never executed.
read_patterns() {
	[ -r "$planner/guards/$1" ] || return 1
	globs=''
	{
		IFS= read -r line && [ "$line" = "git-planner guard 4 $1" ] || return 1
		IFS= read -r against && IFS= read -r modules || return 1
		while IFS= read -r line && [ "$line" != end ]; do
			globs="$globs$line
"
		done
	} <"$planner/guards/$1"
	[ "$line" = end ]
}

# Arguments: the git diff command and the commits to compare.
no_guarded_change() {
	changed=$(query_git -c core.quotePath=false "$@" --name-status --no-renames --no-ext-diff --ignore-submodules=none \
		2>/dev/null) || return 1
	set -f
	IFS='
'
	all_unguarded
	status=$?
	unset IFS
	set +f
	return $status
}

# Leave many changes to Python, which is faster then, and unusual names, which git quotes.
all_unguarded() {
	count=''
	for line in $changed; do
		count=.$count path=${line#??}
		[ ${#count} -lt 64 ] || return 1
		for glob in '"*' $always_guarded $globs; do
			# shellcheck disable=SC2254
			case $path in $glob | $glob/*) return 1 ;; esac
		done
		case $line in [AT]*) shadows_no_module "$path" || return 1 ;; esac
	done
}

# Only a file or package at the top, in src/ or in lib/ can shadow a standard module.
shadows_no_module() {
	inner=${1#src/}
	inner=${inner#lib/}
	case $inner in
	src | lib) return 1 ;;
	*/__init__.*) inner=${inner%/*} ;;
	esac
	case "$stdlib$modules " in *" ${inner%%.*} "*) return 1 ;; esac
}
