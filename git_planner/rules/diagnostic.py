"""Diagnostics of `git planner doctor` and `git plan lint`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem and its fix.

    `severity` is 'error' if something will not work or is not guarded, 'warning' if it may surprise, 'info'
    if it is good to know. `code` is stable. `target` is the affected object.
    """

    severity: Severity
    code: str
    message: str
    target: str
    fix: str

    def document(self) -> dict[str, str]:
        """Return the diagnostic as a JSON document."""
        return asdict(self)
