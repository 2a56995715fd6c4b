
# Whether what changes is surely nothing that the guard would judge. One question to git; everything else is done by
# the shell, and whatever is not sure is judged by Python.
# Also baked in:
#   always    patterns of what may matter whatever the policy
#   standard  the names of modules that must not be added where they would be imported before the true ones

# Read what is kept under a name: its first line, what to compare with, patterns that take in at least what is
# guarded there, 'end'. They are data, never run.
kept() {
	[ -r "$planner/guards/$1" ] || return 1
	globs=''
	{
		IFS= read -r line && [ "$line" = "git-planner guard 3 $1" ] || return 1
		IFS= read -r against || return 1
		while IFS= read -r line && [ "$line" != end ]; do
			globs="$globs$line
"
		done
	} <"$planner/guards/$1"
	[ "$line" = end ]
}

# The rest of git's question is in the arguments: which kind of comparison, and what with.
harmless() {
	changed=$(answer -c core.quotePath=false "$@" --name-status --no-renames --no-ext-diff --ignore-submodules=none \
		2>/dev/null) || return 1
	set -f
	IFS='
'
	all_harmless
	sure=$?
	unset IFS
	set +f
	return $sure
}

# Of many changes Python is the faster judge, and git puts unusual names in quotes.
all_harmless() {
	count=''
	for line in $changed; do
		count=.$count path=${line#??}
		[ ${#count} -lt 64 ] || return 1
		for glob in '"*' $always $globs; do
			# shellcheck disable=SC2254
			case $path in $glob | $glob/*) return 1 ;; esac
		done
		case $line in [AT]*) no_shadow "$path" || return 1 ;; esac
	done
}

# Only a file or a package at the top, in src/ or in lib/ can come before a standard module.
no_shadow() {
	inner=${1#src/}
	inner=${inner#lib/}
	case $inner in
	src | lib) return 1 ;;
	*/__init__.*) inner=${inner%/*} ;;
	esac
	case $standard in *" ${inner%%.*} "*) return 1 ;; esac
}
