"""No terminal: the program runs in the background, and its output goes to a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.host import process_identity
from git_planner.host.process_identity import Sight
from git_planner.host.start_program import check_program
from git_planner.host.terminals.detached import start_detached
from git_planner.host.terminals.launch_file import terminal_environment
from git_planner.host.terminals.terminal import Terminal, checked_keys, checked_text


class HeadlessBackend:
    """A backend without terminals."""

    name = "headless"
    can_attach = False

    def missing(self) -> tuple[str, ...]:
        """Return nothing: it needs nothing."""
        return ()

    def start(
        self, title: str, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], group: str, log: Path
    ) -> Terminal:
        """Start a program in the background; see TerminalBackend."""
        if not cwd.is_dir():
            raise PlannerError("E_MISSING_FOLDER", f"the folder '{cwd}' to run '{argv[0]}' in does not exist")
        environment, mark = terminal_environment(env)
        check_program(argv[0], cwd, environment)
        child = start_detached(argv, cwd=cwd, env=environment, log=log)
        program = process_identity.identity(child.pid, mark) or process_identity.expected(argv[0], mark)
        return Terminal(self.name, None, None, None, program)

    def sight(self, terminal: Terminal) -> Sight:
        """Return whether the program is alive, gone, or cannot be seen from here; see TerminalBackend."""
        return process_identity.sight(terminal.process) if terminal.process else "gone"

    def send(self, terminal: Terminal, text: str, *, enter: bool = True) -> None:
        """Refuse to type: there is no terminal."""
        checked_text(text)
        raise PlannerError("E_TERMINAL", f"{self.place(terminal)} has no terminal that takes text")

    def press(self, terminal: Terminal, keys: Sequence[str]) -> None:
        """Refuse to press keys, as to type."""
        checked_keys(keys)
        raise PlannerError("E_TERMINAL", f"{self.place(terminal)} has no terminal that takes text")

    def screen(self, terminal: Terminal) -> str | None:
        """Return None: there is no screen."""
        return None

    def end(self, terminal: Terminal) -> None:
        """End the program and all that it started; see TerminalBackend."""
        if terminal.process is not None:
            process_identity.end(terminal.process)

    def attach_argv(self, group: str, terminal: Terminal | None) -> tuple[str, ...] | None:
        """Return None: there is nothing to attach to."""
        return None

    def place(self, terminal: Terminal) -> str:
        """Return where a person finds the program."""
        return f"background process {terminal.process.pid if terminal.process else 0}"
