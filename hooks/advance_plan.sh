# Advancing plans. All of this is a convenience: whatever goes wrong here is said, and the commit stands. What is
# missed is made up for by the next hook, or by 'git plan sync'.

# Read a message from stdin up to where the diff begins that a person was shown: which line names a task first, how
# many do (a dot each), and whether it takes a commit back. Python looks closely. No program reads that fast.
read_message() {
	naming='' named='' reverts='' lines=''
	while IFS= read -r line || [ -n "$line" ]; do
		lines=.$lines
		case $line in '# -'*' >8 -'*) break ;; esac
		# Of long lines and long messages nothing is known: some shells take a minute for a megabyte.
		[ ${#lines} -lt 500 ] && [ ${#line} -lt 2000 ] || {
			named=..
			break
		}
		# A squashed merge quotes the messages of its commits.
		line=${line#    }
		while :; do case $line in 'fixup! '* | 'squash! '* | 'amend! '*) line=${line#*! } ;; *) break ;; esac done
		case $line in
		[Tt][Aa][Ss][Kk][_-][0-9]*:* | [Pp][Ll][Aa][Nn][Nn][Ee][Rr]-[TtPp][AaLl][SsAa][KkNn]:*)
			naming=${naming:-$line} named=.$named
			;;
		[Tt]'his reverts commit '*) reverts=yes ;;
		esac
	done
}

# Whether a commit names a task or takes another one back.
names_task() {
	ask log --no-walk --format=%B --no-show-signature "$1" -- 2>/dev/null | {
		read_message
		[ -n "$named$reverts" ]
	}
}

# The same for a commit that was made where HEAD is. The message of an ordinary one was written after the index,
# and reading its file takes a third of asking git.
head_names_task() {
	own=${GIT_DIR:-.git}
	if [ "$own/COMMIT_EDITMSG" -nt "$own/index" ]; then
		read_message <"$own/COMMIT_EDITMSG"
		[ -n "$named$reverts" ]
	else
		names_task "$1"
	fi
}

# Python's part: the stage, then what is special about it.
follow() {
	if [ ! -x "$python" ]; then
		echo "warning: the plan does not follow: the Python of its hooks is gone, '$python' (E_HOOKS)" >&2
		return 0
	fi
	"$python" -I -S -c '
import gc, os, sys
gc.disable()
sys.path += sys.argv.pop(1).splitlines()
try:
    from git_planner.gate import main
except ImportError as error:
    sys.stderr.write(f"warning: the plan does not follow: {error} (E_HOOKS)\n")
    os._exit(0)
status = main(sys.argv[1:])
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)
' "$code" "$1" "$planner" "$2" </dev/null
}
