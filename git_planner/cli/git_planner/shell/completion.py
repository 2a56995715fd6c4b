"""Completion for bash, zsh and fish, of `git-plan …` and of `git plan …`.

click computes the candidates; the scripts here ask the program for them. Each program has its own script,
which git's completion, zsh and fish load by name. A wheel installs them where bash and fish search, see
`templates/completion`; `git planner completion SHELL` prints them.
"""

from __future__ import annotations

import click

from git_planner.cli import ABOUT, complete_variable
from git_planner.cli.output import say
from git_planner.errors import DONE

_BASH = """\
# git-planner: completion of %(prog_name)s for bash.
__%(name)s_fill() {
	local at=$1 line IFS=' '
	shift
	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		plain,*) COMPREPLY+=("${line#plain,}") ;;
		dir,*) compopt -o dirnames 2>/dev/null ;;
		file,*) compopt -o default 2>/dev/null ;;
		esac
	done < <(COMP_WORDS="$*" COMP_CWORD=$at %(complete_var)s=bash_complete \\
		git ${__git_C_args:+"${__git_C_args[@]}"} %(command)s 2>/dev/null)
}

# As git's own completion calls it, which has set words and cword.
_%(name)s() {
	local at=${__git_cmd_idx:-1}
	__%(name)s_fill $((cword - at)) "${words[@]:at}"
}

_%(name)s_alone() {
	local __git_C_args=
	__%(name)s_fill "$COMP_CWORD" "${COMP_WORDS[@]}"
}

complete -o bashdefault -F _%(name)s_alone %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s
#description %(about)s
# git-planner: completion of %(prog_name)s for zsh; its own completion of git calls it, too.
_%(prog_name)s() {
	local kind value about
	local -a told plain
	for kind value about in "${(@f)$(COMP_WORDS="${(j: :)words}" COMP_CWORD=$((CURRENT - 1)) \\
		%(complete_var)s=zsh_complete git %(command)s 2>/dev/null)}"; do
		case $kind in
		plain) [[ $about == _ ]] && plain+=("$value") || told+=("${value}:${about}") ;;
		dir) _path_files -/ ;;
		file) _path_files -f ;;
		esac
	done
	(( $#told )) && _describe -V '%(prog_name)s' told
	(( $#plain )) && compadd -V '%(prog_name)s' -a plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
	_%(prog_name)s "$@"
else
	compdef _%(prog_name)s %(prog_name)s
fi
"""


_FISH = """\
# git-planner: completion of %(prog_name)s for fish, and of git %(command)s once this has been loaded.
function __%(name)s_fill
    set -l pattern '^\\s*git(\\s.*?)?\\s%(command)s(?=\\s)'
    set -l words (string replace -r $pattern %(prog_name)s -- (commandline -cp))
    for line in (COMP_WORDS="$words" COMP_CWORD=(commandline -ct) %(complete_var)s=fish_complete \\
            git %(command)s 2>/dev/null)
        set -l parts (string split -m 1 , -- $line)
        switch $parts[1]
            case plain
                echo $parts[2]
            case dir
                __fish_complete_directories (commandline -ct)
            case file
                __fish_complete_path (commandline -ct)
        end
    end
end

complete -c %(prog_name)s -f -a '(__%(name)s_fill)'
complete -c git -f -n '__fish_git_using_command %(command)s' -a '(__%(name)s_fill)'
"""

# Shell -> script template, and file name template.
SHELLS = {"bash": (_BASH, "{}"), "zsh": (_ZSH, "_{}"), "fish": (_FISH, "{}.fish")}


def scripts(shell: str) -> dict[str, str]:
    """Return the scripts for a shell: file name -> text, one per program.

    Args:
        shell: 'bash', 'zsh' or 'fish'.
    """
    template, name = SHELLS[shell]
    texts = {}
    for program, about in ABOUT.items():
        words = {
            "prog_name": program,
            "name": program.replace("-", "_"),
            "command": program.removeprefix("git-"),
            "complete_var": complete_variable(program),
            "about": about.rstrip("."),
        }
        texts[name.format(program)] = template % words
    return texts


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> int:
    """Print the completion script of all commands for a shell.

    \b
    bash: eval "$(git planner completion bash)"   in ~/.bashrc, after git's own completion
    zsh:  eval "$(git planner completion zsh)"    in ~/.zshrc, after compinit
    fish: git planner completion fish | source    in config.fish
    """
    say("\n".join(scripts(shell).values()))
    return DONE
