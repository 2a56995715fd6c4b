"""tmux server of our own. The only module that imports libtmux; its commands get a deadline here.

libtmux waits for tmux without end, and gives a new server all of this process's environment, marks included:
the end of what called us would end the server.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import libtmux
from libtmux.common import tmux_cmd

from git_planner.errors import PlannerError

CONFIGURATION = Path(__file__).with_name("tmux.conf")
_SECONDS = 10.0
# The socket is always in /tmp, which the jail of agents hides: who reaches it can run anything outside.
_LEFT_OUT = ("COLUMNS", "LINES", "TMUX", "TMUX_PANE", "TMUX_TMPDIR")


class TmuxServer(libtmux.Server):
    """A tmux server, by the name of its socket; the first window starts it."""

    def __init__(self, socket: str, program: str) -> None:
        super().__init__(socket_name=socket, config_file=str(CONFIGURATION), tmux_bin=program)
        self._program, self._socket = program, socket
        self._input = b""

    def cmd(self, cmd: str, *args: Any, target: str | int | None = None) -> tmux_cmd:
        """Run one command of tmux.

        Raises:
            PlannerError: E_TERMINAL if tmux does not answer; E_MISSING_TOOL.
        """
        options = ["-u", "-L", self._socket, "-f", str(CONFIGURATION)]
        targeted = ["-t", str(target)] if target is not None else []
        argv = [self._program, *options, cmd, *targeted, *map(str, args)]
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in _LEFT_OUT and not name.startswith("GIT_")
        }
        try:
            done = subprocess.run(
                argv,
                input=self._input,
                capture_output=True,
                cwd="/",
                env=environment,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            message = f"the tmux server '{self._socket}' does not answer"
            raise PlannerError("E_TERMINAL", message, hint=f"tmux -L {self._socket} list-sessions") from None
        except OSError as error:
            message = f"'{self._program}' cannot be started ({error.strerror})"
            raise PlannerError("E_MISSING_TOOL", message, hint="install tmux") from None
        return _answer(argv, done)

    def cmd_with_input(self, data: bytes, cmd: str, *args: str) -> tmux_cmd:
        """Run one command of tmux that reads from its input."""
        self._input = data
        try:
            return self.cmd(cmd, *args)
        finally:
            self._input = b""


def _answer(argv: list[str], done: subprocess.CompletedProcess[bytes]) -> tmux_cmd:
    """Return a result as libtmux's own calls do."""
    answer = tmux_cmd.__new__(tmux_cmd)
    answer.cmd, answer.returncode = argv, done.returncode
    answer.stdout = done.stdout.decode("utf-8", "backslashreplace").rstrip("\n").split("\n")
    answer.stderr = [line for line in done.stderr.decode("utf-8", "backslashreplace").split("\n") if line]
    return answer
