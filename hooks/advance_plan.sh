# Update plans. These hooks fail open: an error becomes a warning, and the commit stands. The next hook, or
# 'git plan sync', catches up.

# Read a message from stdin, up to the diff of 'git commit -v'. Set 'naming' to the first line that names a task,
# 'named' to one dot per such line, 'reverts' to 'yes' for a revert. Python parses exactly; this saves a process.
read_message() {
	naming='' named='' reverts='' lines=''
	while IFS= read -r line || [ -n "$line" ]; do
		lines=.$lines
		case $line in '# -'*' >8 -'*) break ;; esac
		# Leave long lines and messages to Python: some shells take a minute for a megabyte.
		[ ${#lines} -lt 500 ] && [ ${#line} -lt 2000 ] || {
			named=..
			break
		}
		# A squashed merge quotes the messages of its commits: git indents them, hosting sites list the subjects.
		line=${line#    } line=${line#[*-] }
		case $line in 'Merged PR '[0-9]*': '*) line=${line#*: } ;; esac
		while :; do case $line in 'fixup! '* | 'squash! '* | 'amend! '*) line=${line#*! } ;; *) break ;; esac done
		case $line in
		[Tt][Aa][Ss][Kk][_-][0-9]*:* | [Pp][Ll][Aa][Nn][Nn][Ee][Rr]-[TtPp][AaLl][SsAa][KkNn]:*)
			naming=${naming:-$line} named=.$named
			;;
		[Tt]'his reverts commit '* | 'This reverts merge request '* | 'Reverts '*'#'[0-9]*) reverts=yes ;;
		esac
	done
}

# Return 0 if a commit names a task or reverts a commit.
names_task() {
	query_git log --no-walk --format=%B --no-show-signature "$1" -- 2>/dev/null | {
		read_message
		[ -n "$named$reverts" ]
	}
}

# The same for a commit that was just made on HEAD: if its message file is newer than the index, read that, which
# takes a third of the time of 'git log'.
head_names_task() {
	own=${GIT_DIR:-.git}
	if [ "$own/COMMIT_EDITMSG" -nt "$own/index" ]; then
		read_message <"$own/COMMIT_EDITMSG"
		[ -n "$named$reverts" ]
	else
		names_task "$1"
	fi
}

# Run a plan hook in Python: the stage, then its argument.
run_plan_hook() {
	if [ ! -x "$python" ]; then
		echo "warning: plan not updated: the hooks' Python does not exist, '$python' (E_HOOKS)" >&2
		return 0
	fi
	"$python" -I -S -c '
import gc, os, sys
gc.disable()
sys.path += sys.argv.pop(1).splitlines()
try:
    from git_planner.gate import main
except ImportError as error:
    sys.stderr.write(f"warning: plan not updated: {error} (E_HOOKS)\n")
    os._exit(0)
status = main(sys.argv[1:])
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)
' "$code" "$1" "$planner" "$2" </dev/null
}
