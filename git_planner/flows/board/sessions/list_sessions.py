"""List sessions, show where one is, and what it was asked to do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import atomic_file, redact
from git_planner.errors import PlannerError
from git_planner.flows.board.sessions import session_store
from git_planner.flows.board.sessions.session_store import HostSession
from git_planner.flows.board.sessions.start_session import group_name
from git_planner.gitio.repository import Repository
from git_planner.host.terminals.choose import backend_of
from git_planner.rules.board.session import PLANNER

_MOST_REASON = 160


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as it is shown. `seen`: 'alive', 'stalled', 'dead', 'far' or 'idle'; `attach` shows it."""

    session: HostSession
    seen: str
    beat: str | None
    attach: str | None
    place: str | None

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            **self.session.session.document(),
            "schema": "git-planner/session-view@1",
            "seen": self.seen,
            "heartbeat": self.beat,
            "attach": self.attach,
            "place": self.place,
            "asking_since": self.session.asking_since if self.session.asks else None,
        }

    def line(self) -> str:
        """Return it as one line."""
        session = self.session.session
        parts = [session.name, f"plan {session.plan}", session.state]
        parts += ["waits for an answer in its terminal"] if self.session.asks else []
        parts += [self.seen] if self.seen not in ("alive", "idle") else []
        parts += [session.outcome] if session.outcome and session.outcome != session.state else []
        parts += [f"{session.client} in {session.backend}"]
        parts += ["without a sandbox"] if session.is_unconfined else []
        parts += [f"on {session.host}"] if self.seen == "far" else []
        parts += [session.branch] if session.branch else []
        line = ", ".join(parts)
        reason = " ".join((session.reason or "").split())
        return f"{line}: {reason[:_MOST_REASON]}" if reason else line


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions, oldest first."""

    views: tuple[SessionView, ...]

    def document(self) -> dict[str, Any]:
        """Return them as one JSON document."""
        return {"schema": "git-planner/sessions@1", "sessions": [view.document() for view in self.views]}


@dataclass(frozen=True, slots=True)
class Attachment:
    """Way to a session for a person: a command, or the place of a window that no command can show."""

    argv: Sequence[str] | None
    place: str

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        argv = None if self.argv is None else list(self.argv)
        return {"schema": "git-planner/attachment@1", "argv": argv, "place": self.place}


@dataclass(frozen=True, slots=True)
class KeptPrompt:
    """Prompt that a session was started with."""

    name: str
    path: Path
    text: str

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "schema": "git-planner/session-prompt@1",
            "name": self.name,
            "path": str(self.path),
            "prompt": self.text,
        }


def list_sessions(
    repo: Repository, plan: str | None = None, *, active: bool = False, kind: str | None = None
) -> Sessions:
    """List the sessions of this host and, as the plans know them, of others.

    Args:
        repo: the repository.
        plan: only those of one plan.
        active: only those that run, as far as can be seen.
        kind: 'planner' or 'worker'.
    """
    sessions = session_store.all_sessions(repo, plan)
    chosen = [item for item in sessions if kind in (None, item.session.kind)]
    views = [view_session(repo, item) for item in chosen if item.session.is_active or not active]
    return Sessions(tuple(view for view in views if not active or view.seen != "dead"))


def view_session(repo: Repository, session: HostSession) -> SessionView:
    """Return a session as it is shown."""
    attach = None
    if session.terminal is not None and session.session.is_active and not session.is_remote:
        backend = backend_of(session.terminal, os.environ)
        name = f"{session.session.name} --plan {session.session.plan}"
        attach = f"git plan session attach {name}" if backend.can_attach else None
    place = None
    if session.terminal is not None and session.session.is_active:
        with suppress(PlannerError):
            place = backend_of(session.terminal, os.environ).place(session.terminal)
    return SessionView(session, _seen(repo, session), session_store.last_beat(repo, session), attach, place)


def find_attachment(repo: Repository, name: str | None, plan: str | None) -> Attachment:
    """Return how a person gets to a session, or to all of them when no name is given.

    Raises:
        PlannerError: E_SESSION when there is none, or it does not run.
    """
    if name is None:
        sessions = [item for item in session_store.host_sessions(repo) if item.session.is_active]
        sessions.sort(key=lambda item: (item.session.name != PLANNER, item.run))
        if not sessions:
            raise PlannerError("E_SESSION", "no session runs here", hint="git planner")
        session = sessions[0]
    else:
        session = session_store.find_session(repo, name, plan)
        if not session.session.is_active:
            raise PlannerError(
                "E_SESSION",
                f"the session '{session.session.name}' is {session.session.state}, and has no terminal",
                hint="git plan session list",
            )
    if session.terminal is None:
        raise PlannerError("E_SESSION", f"the terminal of '{session.session.name}' is not open yet")
    backend = backend_of(session.terminal, os.environ)
    argv = backend.attach_argv(group_name(repo), session.terminal if name is not None else None)
    return Attachment(argv, backend.place(session.terminal))


def read_prompt(repo: Repository, name: str, plan: str | None) -> KeptPrompt:
    """Return the prompt of a session of this host.

    Raises:
        PlannerError: E_SESSION when there is no such session, or it has no prompt yet.
    """
    session = session_store.find_session(repo, name, plan)
    path = session_store.prompt_file(repo, session.run)
    try:
        text = redact.mask_text(atomic_file.read(path).decode("utf-8", "replace"))
    except OSError:
        raise PlannerError(
            "E_SESSION", f"the session '{session.session.name}' has not been given a prompt yet"
        ) from None
    return KeptPrompt(session.session.name, path, text)


def _seen(repo: Repository, session: HostSession) -> str:
    """Return what can be seen of a session: a fresh heartbeat is believed."""
    if not session.session.is_active:
        return "idle"
    sight = session.sight()
    if sight == "far":
        return "far"
    if sight == "gone":
        return "dead"
    beat = session_store.last_beat(repo, session)
    return "alive" if beat is None or session_store.is_fresh(repo, session) else "stalled"
