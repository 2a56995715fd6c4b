"""Check that sessions can be shown in a terminal on this machine, for the doctor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from git_planner.config.settings import Settings
from git_planner.host.terminals.choose import named_backend
from git_planner.rules.diagnostic import Diagnostic, Severity

_FIXES = {
    "desktop": "install xterm, or: git config planner.terminal tmux",
    "tmux": "install tmux 3.0 or newer and: pip install 'git-planner[board]'",
}


def terminal_findings(
    settings: Settings, environ: Mapping[str, str], facts: dict[str, str | None]
) -> Iterator[Diagnostic]:
    """Add the terminal backend to the facts; yield what this machine lacks for it.

    It is a warning if the backend was chosen by name, otherwise an information: not everybody runs sessions.
    """
    backend = named_backend(settings.terminal, environ, settings.tmux_socket)
    faults = backend.missing()
    facts["terminal"] = None if faults else backend.name
    severity: Severity = "info" if settings.terminal == "auto" else "warning"
    for fault in faults:
        message = f"sessions cannot be started in {backend.name}: {fault}"
        yield Diagnostic(severity, "no-terminal", message, "planner.terminal", _FIXES[backend.name])
