"""Terminals as windows of the desktop: gnome-terminal or xterm, one window per program."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.host import process_identity
from git_planner.host.marks import MARK
from git_planner.host.terminals.detached import start_detached
from git_planner.host.terminals.launch_file import launch_command, terminal_environment
from git_planner.host.terminals.terminal import DISPLAYS, Terminal, safe_name
from git_planner.host.terminals.unattached import Unattached

# In order of preference.
EMULATORS = ("gnome-terminal", "xterm")
_START_SECONDS = 10.0


class DesktopBackend(Unattached):
    """A backend that opens windows of a terminal emulator. Nobody attaches to them from elsewhere.

    Args:
        environ: the environment that names the display and the PATH.
    """

    name = "desktop"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def missing(self) -> tuple[str, ...]:
        """Return what this machine lacks for it, one sentence each; empty if it works."""
        faults = []
        if not any(self._environ.get(name) for name in DISPLAYS):
            faults.append("there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set")
        if self._emulator() is None:
            faults.append("neither gnome-terminal nor xterm is on PATH")
        return tuple(faults)

    def start(
        self, title: str, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], group: str, log: Path
    ) -> Terminal:
        """Start a program in a window of its own; see TerminalBackend."""
        emulator = self._emulator()
        if emulator is None or self.missing():
            hint = "git config planner.terminal tmux"
            raise PlannerError("E_MISSING_TOOL", self.missing()[0], hint=hint)
        environment, mark = terminal_environment(env)
        command, launch_file = launch_command(argv, cwd=cwd, env=environment, log=log)
        window = f"{safe_name(group)} {safe_name(title)}"
        options = {
            "gnome-terminal": ("--wait", f"--title={window}", "--"),
            "xterm": ("-T", window, "-n", window, "-e"),
        }
        # The emulator itself carries no mark: one server of gnome-terminal has the windows of all programs.
        shown = {name: value for name, value in self._environ.items() if name != MARK}
        errors = log.with_name(f"{log.name}.emulator")
        call = (emulator, *options[Path(emulator).name], *command)
        child = start_detached(call, cwd=Path("/"), env=shown, log=errors)
        program = process_identity.identity(child.pid, mark)
        # The program deletes the file when it starts.
        until = time.monotonic() + _START_SECONDS
        while launch_file.exists() and child.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        if launch_file.exists():
            launch_file.unlink(missing_ok=True)
            if program is not None:
                process_identity.end(program)
            raise _not_opened(Path(emulator).name, errors)
        if program is None:
            program = process_identity.expected(emulator, mark)
        return Terminal(self.name, None, Path(emulator).name, window, program)

    def place(self, terminal: Terminal) -> str:
        """Return where a person finds the terminal."""
        return f"the window '{terminal.window}' of {terminal.session}"

    def _emulator(self) -> str | None:
        path = self._environ.get("PATH", os.defpath)
        return next((place for name in EMULATORS if (place := shutil.which(name, path=path))), None)


def _not_opened(emulator: str, errors: Path) -> PlannerError:
    reason = ""
    if errors.is_file():
        # The last line is the reason.
        reason = atomic_file.read(errors).decode("utf-8", "replace").strip().rpartition("\n")[2][-300:]
    message = f"{emulator} opened no window: {reason or 'without a message'}"
    return PlannerError("E_TERMINAL", message, hint="git config planner.terminal tmux")
