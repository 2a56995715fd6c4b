"""Completion in real shells: bash through git's own completion, zsh in a terminal, and fish."""

from __future__ import annotations

import os
import pty
import select
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from git_planner.cli.git_planner.shell.completion import SHELLS
from tests.support.lab import Lab
from tests.support.workshop import POLICY

ROOT = Path(__file__).parents[2]
GIT_COMPLETION = Path("/usr/share/bash-completion/completions/git")
BASH = """
source {git}
eval "$(git planner completion bash)"
ask() {{
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMPREPLY=()
	COMP_POINT=${{#COMP_LINE}}
	{how}
	printf '%s\\n' "${{COMPREPLY[@]}}"
}}
ask {command_line}
"""
CASES = [
    ("plan ta", {"task"}),
    ("plan task show ta", {"task_001", "task_002"}),
    ("plan task show --plan ''", {"default"}),
    ("record ma", {"main"}),
    ("record lo", {"log"}),
    ("iterate --lo", {"--loop"}),
    ("planner plan task sho", {"show"}),
    ("planner completion fi", {"fish"}),
]


@pytest.fixture
def planned(lab: Lab) -> Lab:
    """A repository with a plan of two tasks."""
    lab.commit("policy", {".git-planner.yml": POLICY})
    for title in ("First thing", "Second"):
        assert lab.run("git-plan", "task", "add", title).status == 0
    return lab


@pytest.mark.skipif(not GIT_COMPLETION.exists(), reason="needs git's completion for bash")
@pytest.mark.parametrize(("command_line", "completions"), CASES)
def test_bash_completes_git_s_subcommands(planned: Lab, command_line: str, completions: set[str]) -> None:
    assert bash(planned, f"git {command_line}", "__git_wrap__git_main") == completions


@pytest.mark.skipif(not GIT_COMPLETION.exists(), reason="needs git's completion for bash")
def test_bash_follows_git_s_options_and_aliases(planned: Lab) -> None:
    planned.git("config", "alias.gp", "plan")
    assert bash(planned, "git gp ta", "__git_wrap__git_main") == {"task"}
    command_line = f"git -C {planned.path} plan task show task_"
    assert bash(planned, command_line, "__git_wrap__git_main", cwd=planned.root) == {"task_001", "task_002"}


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(("command_line", "completions"), CASES)
def test_bash_completes_the_programs(planned: Lab, command_line: str, completions: set[str]) -> None:
    program, _, rest = command_line.partition(" ")
    assert bash(planned, f"git-{program} {rest}", f"_git_{program}_alone") == completions


def bash(lab: Lab, command_line: str, how: str, cwd: Path | None = None) -> set[str]:
    """Return the completions that bash offers for a command line with an incomplete last word."""
    script = BASH.format(
        git=GIT_COMPLETION if GIT_COMPLETION.exists() else os.devnull, how=how, command_line=command_line
    )
    ran = lab.run_program("bash", "--norc", "-c", script, cwd=cwd)
    assert (ran.status, ran.err) == (0, "")
    return set(ran.out.split())


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
@pytest.mark.parametrize(("command_line", "completions"), CASES)
def test_fish(planned: Lab, command_line: str, completions: set[str]) -> None:
    for line in (f"git {command_line}", f"git-{command_line}"):
        script = f'git planner completion fish | source; complete -C "{line.removesuffix(chr(39) * 2)}"'
        ran = planned.run_program("fish", "-c", script)
        assert ran.status == 0, ran.err
        assert {match.split("\t")[0] for match in ran.out.splitlines()} == completions, line


@pytest.mark.skipif(not shutil.which("zsh"), reason="needs zsh")
def test_zsh_in_a_terminal(planned: Lab) -> None:
    folder = ROOT / "templates" / "completion" / "zsh"
    begin = f"PS1='> '; fpath=({folder} $fpath); autoload -U compinit; compinit -u -D; echo REA''DY\r"
    terminal = Terminal(["zsh", "-f", "-i"], planned.path, planned.env)
    try:
        terminal.expect(begin, "READY")
        terminal.expect("git plan task show ta\t", "sk_00")
        terminal.expect("\t", "First thing")
        terminal.expect("\x15git planner plan task sho\t", "w ")
        terminal.expect("\x15git-record lo\t", "g ")
        terminal.expect("\x15git re\t\t", "Measure a commit as its policy prescribes")
    finally:
        terminal.close()


class Terminal:
    """A program in a terminal of its own, typed to."""

    def __init__(self, argv: list[str], cwd: Path, env: Mapping[str, str]) -> None:
        self.output = ""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(argv[0], argv, {**env, "COLUMNS": "160"})

    def expect(self, keys: str, answer: str) -> None:
        """Type, and wait until an answer is on the screen."""
        self.output = ""
        os.write(self._fd, keys.encode())
        until = time.monotonic() + 20
        while answer not in self.output:
            assert time.monotonic() < until, f"{keys!r}: {self.output!r}"
            if select.select([self._fd], [], [], 0.1)[0]:
                self.output += os.read(self._fd, 65536).decode(errors="replace")

    def close(self) -> None:
        """Hang up, and wait for the program's end."""
        os.close(self._fd)
        os.waitpid(self.pid, 0)


@pytest.mark.parametrize("shell", SHELLS)
def test_outside_a_repository_nothing_is_found_and_nothing_said(tmp_path: Path, lab: Lab, shell: str) -> None:
    request = {
        "COMP_WORDS": "git-plan task show ",
        "COMP_CWORD": "3",
        "_GIT_PLAN_COMPLETE": f"{shell}_complete",
    }
    if shell == "fish":
        request["COMP_CWORD"] = ""
    ran = lab.spawn("git-plan", cwd=tmp_path, **request)
    assert (ran.status, ran.out.strip(), ran.err) == (0, "", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_sound(lab: Lab, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"needs {shell}")
    printed = lab.run("git-planner", "completion", shell)
    assert printed.status == 0
    (lab.root / "script").write_text(printed.out)
    checked = lab.run_program(shell, "-n", str(lab.root / "script"))
    assert (checked.status, checked.err) == (0, "")
