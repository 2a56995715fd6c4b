"""Choice of the backend that shows programs in terminals."""

from __future__ import annotations

import os
from collections.abc import Mapping

from git_planner.errors import PlannerError
from git_planner.host.terminals.terminal import DISPLAYS, Terminal, TerminalBackend
from git_planner.host.terminals.tmux import INSTALL, SOCKET, TmuxBackend

BACKENDS = ("auto", "desktop", "headless", "tmux")


def choose_backend(name: str, environ: Mapping[str, str], socket: str = SOCKET) -> TerminalBackend:
    """Return the backend of a name, if it works here.

    'auto' is the desktop if there is a display and an emulator, otherwise tmux. It is never 'headless':
    nobody could answer such a session.

    Args:
        name: one of BACKENDS.
        environ: the environment: display and PATH.
        socket: the name of tmux's socket.

    Raises:
        PlannerError: E_USAGE for another name; E_MISSING_TOOL for what has to be installed.
    """
    backend = named_backend(name, environ, socket)
    faults = backend.missing()
    if not faults:
        return backend
    if backend.name == "desktop":
        need = "install xterm" if _has_display(environ) else "run it in a desktop"
        hint = f"{need}, or: git config planner.terminal tmux"
        raise PlannerError("E_MISSING_TOOL", f"no window can be opened: {faults[0]}", hint=hint)
    hint = f"{INSTALL}, or: git config planner.terminal headless"
    raise PlannerError("E_MISSING_TOOL", f"no terminal can be opened in tmux: {faults[0]}", hint=hint)


def named_backend(name: str, environ: Mapping[str, str], socket: str = SOCKET) -> TerminalBackend:
    """Return the backend of a name, or the one that 'auto' stands for, whether it works here or not.

    Raises:
        PlannerError: E_USAGE for another name.
    """
    if name not in BACKENDS:
        message = f"{name[:40]!r} is not a terminal backend"
        raise PlannerError("E_USAGE", message, hint=f"known: {', '.join(BACKENDS)}")
    if name == "headless":
        from git_planner.host.terminals.headless import HeadlessBackend

        return HeadlessBackend()
    if name == "desktop" or (name == "auto" and _has_display(environ)):
        from git_planner.host.terminals.desktop import DesktopBackend

        desktop = DesktopBackend(environ)
        if name == "desktop" or not desktop.missing():
            return desktop
    return TmuxBackend(socket, environ.get("PATH", os.defpath))


def backend_of(terminal: Terminal, environ: Mapping[str, str]) -> TerminalBackend:
    """Return the backend that a recorded terminal belongs to."""
    return named_backend(terminal.backend, environ, terminal.socket or SOCKET)


def _has_display(environ: Mapping[str, str]) -> bool:
    return any(environ.get(name) for name in DISPLAYS)
