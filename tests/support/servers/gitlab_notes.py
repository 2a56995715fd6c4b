"""Loopback GitLab, as far as a CI job asks it: the token's account, and the notes of one merge request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.servers.loopback import Handler, Server, running

TOKEN = "dummy"
_NOTES = "/api/v4/projects/12/merge_requests/7/notes"


@dataclass
class NotesScript:
    """The notes of a merge request; `faults` are answers to the next requests: a status each, or 'hang'."""

    notes: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Any] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)


class NotesHandler(Handler):
    """One request of curl."""

    server: Server[NotesScript]

    def do_GET(self) -> None:
        """Answer a question."""
        self._answer(None)

    def do_POST(self) -> None:
        """Add a note."""
        self._answer(self.body())

    def do_PUT(self) -> None:
        """Change a note."""
        self._answer(self.body())

    def _answer(self, document: Any) -> None:
        script, address = self.server.script, urlsplit(self.path)
        fault = script.faults.pop(0) if script.faults else None
        if fault == "hang":
            self.server.over.wait(60)
        elif fault is not None:
            self.reply(fault, {"message": "not now \x1b[31m"})
        elif self.headers["private-token"] != TOKEN:
            self.reply(401, {"message": "401 Unauthorized"})
        elif address.path == "/api/v4/user":
            self.reply(200, {"id": 1, "username": "project_bot"})
        elif not address.path.startswith(_NOTES):
            self.reply(404, {"message": "404 Not found"})
        else:
            with script.lock:
                self.reply(*self._notes(address.path.removeprefix(_NOTES), address.query, document))

    def _notes(self, rest: str, query: str, document: Any) -> tuple[int, object]:
        notes = self.server.script.notes
        if self.command == "POST":
            # GitLab strips blanks at the end.
            notes.append({"id": len(notes), "body": document["body"].strip(), "author": {"id": 1}})
            return 201, notes[-1]
        if self.command == "PUT":
            notes[int(rest[1:])]["body"] = document["body"].strip()
            return 200, notes[int(rest[1:])]
        fields = parse_qs(query)
        start, size = int(fields["page"][0]) - 1, int(fields["per_page"][0])
        return 200, notes[start * size : (start + 1) * size]


@contextmanager
def notes_service(script: NotesScript) -> Iterator[str]:
    """Run the site; yield the address of its programming interface."""
    with running(script, NotesHandler) as server:
        yield f"http://127.0.0.1:{server.port}/api/v4"
