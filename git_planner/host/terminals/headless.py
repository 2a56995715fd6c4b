"""No terminal: the program runs in the background, and its output goes to a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.host import process_identity
from git_planner.host.start_program import check_program
from git_planner.host.terminals.detached import start_detached
from git_planner.host.terminals.launch_file import terminal_environment
from git_planner.host.terminals.terminal import Terminal
from git_planner.host.terminals.unattached import Unattached


class HeadlessBackend(Unattached):
    """A backend without terminals."""

    name = "headless"

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

    def place(self, terminal: Terminal) -> str:
        """Return where a person finds the program."""
        return f"background process {terminal.process.pid if terminal.process else 0}"
