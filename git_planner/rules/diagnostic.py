"""One thing that was found to be wrong, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A finding.

    `severity` 'error' means that something will not work or is not guarded; 'warning' that it may surprise;
    'info' that it is good to know. `code` is stable. `target` is what it is about; `fix` what to do.
    """

    severity: Literal["error", "warning", "info"]
    code: str
    message: str
    target: str
    fix: str

    def document(self) -> dict[str, str]:
        """The finding as JSON."""
        return asdict(self)
