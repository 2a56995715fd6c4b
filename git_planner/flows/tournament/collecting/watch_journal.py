"""Events of a watch that are not on the run's branch yet: a file of this host, one line each.

A line has a number that is never used again. The branch names the last line that it has, so a line is neither
lost nor written twice, wherever the program is killed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.rules import refnames
from git_planner.rules.tournament.event import EventDraft

_MOST_LINES = 5_000


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One event with its number."""

    number: int
    draft: EventDraft


class WatchJournal:
    """The journal in a file; `name` is its own among all hosts.

    Args:
        path: the file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name, self._last = refnames.random_token(16), 0
        self.lines: list[JournalLine] = []
        self._load()

    def add(self, draft: EventDraft) -> None:
        """Append an event."""
        self._last += 1
        line = JournalLine(self._last, draft)
        # A disk that stays full must not fill the memory.
        self.lines = [*self.lines, line][-_MOST_LINES:]
        with open(self._path, "ab") as file:
            file.write(_encoded(line))

    def clear(self, last: int) -> None:
        """Remove the lines up to a number: the branch has them."""
        self.lines = [line for line in self.lines if line.number > last]
        self._rewrite()

    def write_task(self, turn: int, task: str) -> None:
        """Keep the id of the task of a turn, as soon as the source has named it."""
        atomic_file.write(self._task_file(turn), task.encode() + b"\n")

    def read_task(self, turn: int) -> str | None:
        """Return the id of the task of a turn; None if the source has named none to this host."""
        try:
            return atomic_file.read(self._task_file(turn)).decode().strip() or None
        except (OSError, UnicodeDecodeError):
            return None

    def _task_file(self, turn: int) -> Path:
        return self._path.with_name(f"{self._path.name}.turn{turn}.task")

    def _load(self) -> None:
        try:
            data = atomic_file.read(self._path)
        except OSError:
            data = b""
        head, *rest = [_object(line) for line in data.split(b"\n")] if data else [{}]
        name, last = head.get("journal"), head.get("last")
        if isinstance(name, str) and isinstance(last, int):
            self.name, self._last = name, last
            # A line that was cut off by the end of the program counts as not written.
            self.lines = [line for document in rest if (line := _line(document))]
            self._last = max([last, *(line.number for line in self.lines)])
        self._rewrite()

    def _rewrite(self) -> None:
        head = json.dumps({"journal": self.name, "last": self._last}).encode() + b"\n"
        atomic_file.write(self._path, head + b"".join(map(_encoded, self.lines)))


def _encoded(line: JournalLine) -> bytes:
    draft = line.draft
    fields = {"number": line.number, "event": draft.event, "code": draft.code, "at": draft.at}
    return json.dumps({**fields, "detail": dict(draft.detail)}).encode() + b"\n"


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _line(document: Mapping[str, Any]) -> JournalLine | None:
    number, name, detail = (document.get(key) for key in ("number", "event", "detail"))
    if not isinstance(number, int) or not isinstance(name, str) or not isinstance(detail, dict):
        return None
    return JournalLine(number, EventDraft(name, document.get("code"), detail, str(document.get("at"))))
