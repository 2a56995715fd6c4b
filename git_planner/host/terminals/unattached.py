"""Terminals that only a person can type into and look at, and programs without one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from git_planner.errors import PlannerError
from git_planner.host import process_identity
from git_planner.host.process_identity import Sight
from git_planner.host.terminals.terminal import Terminal, checked_keys, checked_text


class Unattached(ABC):
    """Part of a backend whose terminals are known by their process alone; see TerminalBackend."""

    can_attach = False

    def sight(self, terminal: Terminal) -> Sight:
        """Return whether it is alive, gone, or cannot be seen from here."""
        return process_identity.sight(terminal.process) if terminal.process else "gone"

    def send(self, terminal: Terminal, text: str, *, enter: bool = True) -> None:
        """Refuse to type."""
        checked_text(text)
        raise self._refusal(terminal)

    def press(self, terminal: Terminal, keys: Sequence[str]) -> None:
        """Refuse to press keys."""
        checked_keys(keys)
        raise self._refusal(terminal)

    def screen(self, terminal: Terminal) -> str | None:
        """Return None: its text cannot be read."""
        return None

    def end(self, terminal: Terminal) -> None:
        """End the program and all that it started, which closes its window."""
        if terminal.process is not None:
            process_identity.end(terminal.process)

    def attach_argv(self, group: str, terminal: Terminal | None) -> tuple[str, ...] | None:
        """Return None: there is nothing to attach to."""
        return None

    @abstractmethod
    def place(self, terminal: Terminal) -> str:
        """Return where a person finds it."""

    def _refusal(self, terminal: Terminal) -> PlannerError:
        return PlannerError("E_TERMINAL", f"{self.place(terminal)} takes no text from other programs")
