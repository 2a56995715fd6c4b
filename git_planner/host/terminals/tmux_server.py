"""tmux server of our own: its commands have a deadline, and little of this process's environment.

A new server keeps the environment that it is started with; with marks in it, the end of what called us would
end the server.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from git_planner.errors import PlannerError

CONFIGURATION = Path(__file__).with_name("tmux.conf")
# The socket is always in /tmp, which the jail of agents hides: who reaches it can run anything outside.
_LEFT_OUT = ("COLUMNS", "LINES", "TMUX", "TMUX_PANE", "TMUX_TMPDIR")


class TmuxAnswer(NamedTuple):
    """Status and output lines of one command of tmux."""

    returncode: int
    stdout: list[str]
    stderr: list[str]


class TmuxServer:
    """A tmux server, by the name of its socket; the first window starts it.

    Args:
        socket: the name of its socket.
        program: the path of tmux.
        seconds: the deadline of each command.
    """

    def __init__(self, socket: str, program: str, seconds: float = 10.0) -> None:
        self._program, self._socket, self._seconds = program, socket, seconds

    def cmd(self, *command: str, data: bytes = b"") -> TmuxAnswer:
        """Run one command of tmux, with data as its input.

        Raises:
            PlannerError: E_TERMINAL if tmux does not answer; E_MISSING_TOOL.
        """
        options = ["-u", "-L", self._socket, "-f", str(CONFIGURATION)]
        argv = [self._program, *options, *command]
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in _LEFT_OUT and not name.startswith("GIT_")
        }
        try:
            done = subprocess.run(
                argv,
                input=data,
                capture_output=True,
                cwd="/",
                env=environment,
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            message = f"the tmux server '{self._socket}' does not answer"
            raise PlannerError("E_TERMINAL", message, hint=f"tmux -L {self._socket} list-sessions") from None
        except OSError as error:
            message = f"'{self._program}' cannot be started ({error.strerror})"
            raise PlannerError("E_MISSING_TOOL", message, hint="install tmux") from None
        return TmuxAnswer(
            done.returncode,
            done.stdout.decode("utf-8", "backslashreplace").rstrip("\n").split("\n"),
            [line for line in done.stderr.decode("utf-8", "backslashreplace").split("\n") if line],
        )
