"""A tmux server for one test."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from git_planner.host.terminals.terminal import Terminal
from git_planner.host.terminals.tmux import TmuxBackend

TMUX_IS_MISSING = shutil.which("tmux") is None


class Tmux:
    """A tmux server on a socket of its own, as a context: it ends with the test.

    Args:
        folder: where its programs run and keep their logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backend = TmuxBackend(f"git-planner-test-{os.getpid()}-{secrets.token_hex(4)}")

    def __enter__(self) -> Tmux:
        return self

    def __exit__(self, *_: object) -> None:
        end_server(self.backend.socket)

    def start(self, *argv: str, env: Mapping[str, str] | None = None) -> Terminal:
        """Start a program in a window."""
        return self.backend.start(
            argv[0],
            argv,
            cwd=self.folder,
            env=dict(os.environ if env is None else env),
            group="git-planner-0a1b2c3d",
            log=self.folder / "log",
        )

    def screen(self, terminal: Terminal) -> str:
        """Return what a terminal shows; nothing if it is gone."""
        return self.backend.screen(terminal) or ""

    def run(self, *argv: str) -> str:
        """Run a command of tmux as a person would."""
        command = ["tmux", "-u", "-L", self.backend.socket, *argv]
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
        return done.stdout.decode().rstrip("\n")


def end_server(socket: str) -> None:
    """End the server of a socket, and remove the socket, which tmux leaves."""
    subprocess.run(["tmux", "-L", socket, "kill-server"], capture_output=True, timeout=20, check=False)
    Path(f"/tmp/tmux-{os.geteuid()}/{socket}").unlink(missing_ok=True)
