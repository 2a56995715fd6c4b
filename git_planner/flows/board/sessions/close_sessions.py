"""Close, suspend, resume and shut down sessions of this host."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from git_planner.errors import PlannerError
from git_planner.flows.board.sessions import session_store
from git_planner.flows.board.sessions.reconcile import finish_idle_run, heal_sessions
from git_planner.flows.board.sessions.session_store import HostSession
from git_planner.flows.board.sessions.start_session import resume_session
from git_planner.flows.runs import store
from git_planner.flows.runs.store import run_folder
from git_planner.flows.tasks.claims import release_task
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity
from git_planner.host.clock import utc_now
from git_planner.host.terminals.choose import backend_of
from git_planner.progress import Progress
from git_planner.rules.tasks.task import TaskStatus

# Seconds that the process of a session has to end its client and to save its work.
_CLOSE_SECONDS = 30.0
_PAUSE = 0.05


def close_session(
    repo: Repository,
    session: HostSession,
    progress: Progress,
    *,
    status: TaskStatus | None = None,
    keep_running: bool = False,
) -> HostSession:
    """End the client of a session and finish its run. A session that has ended stays as it is.

    Args:
        repo: the repository.
        session: the session.
        progress: called with each progress message.
        status: the new status of its task, afterwards.
        keep_running: only take it from the list of active sessions; its client goes on.

    Raises:
        PlannerError: E_SESSION when it runs on another host; E_USAGE for the status of a planner's session;
            E_TRANSITION for a status that may not follow.
    """
    if status is not None and session.task is None:
        raise PlannerError("E_USAGE", "the planner's session has no task whose status could be set")
    _check_here(session)
    if keep_running:
        return session_store.change_session(repo, session.run, _left_running, publish=True)
    session = _asked(repo, (session,), "close", progress)[0]
    if session.session.state in ("suspended", "needs_input"):
        session = _finish_idle(repo, session)
    if status is not None and session.task is not None:
        reason = f"set when the session {session.session.name} was closed"
        plan = session.session.plan
        release_task(repo, plan, session.task, owner=None, status=status, reason=reason, op="close")
    return session


def suspend_sessions(
    repo: Repository, progress: Progress, chosen: Sequence[HostSession] | None = None
) -> tuple[HostSession, ...]:
    """Stop the clients of all active sessions of this host, so that they can be resumed.

    Args:
        repo: the repository.
        progress: called with each progress message.
        chosen: only these sessions.
    """
    heal_sessions(repo, progress)
    active = [session for session in session_store.host_sessions(repo) if session.session.is_active]
    names = None if chosen is None else {session.run for session in chosen}
    return tuple(
        _asked(repo, [item for item in active if names is None or item.run in names], "suspend", progress)
    )


def resume_sessions(repo: Repository, progress: Progress) -> tuple[HostSession, ...]:
    """Start the clients of all suspended sessions of this host again, the planner's first.

    Raises:
        PlannerError: as `start_session.resume_session`; the sessions before it are resumed by then.
    """
    heal_sessions(repo, progress)
    suspended = [item for item in session_store.host_sessions(repo) if item.session.state == "suspended"]
    suspended.sort(key=lambda session: (session.session.kind != "planner", session.run))
    resumed = []
    for session in suspended:
        resumed.append(resume_session(repo, session, progress))
        progress(f"session {session.session.name}: resumed")
    return tuple(resumed)


def shut_down(repo: Repository, progress: Progress) -> tuple[HostSession, ...]:
    """Close all active and suspended sessions of this host; unfinished tasks are put back."""
    heal_sessions(repo, progress)
    sessions = [item for item in session_store.host_sessions(repo) if item.session.state != "ended"]
    open_sessions = [item for item in sessions if item.session.is_active]
    closed = {session.run: session for session in _asked(repo, open_sessions, "close", progress)}
    return tuple(
        _finish_idle(repo, session) if session.session.state == "suspended" else session
        for session in (closed.get(item.run, item) for item in sessions)
    )


def _asked(
    repo: Repository, sessions: Sequence[HostSession], word: str, progress: Progress
) -> list[HostSession]:
    """Ask the processes of sessions to suspend or to close them; end those that do not answer."""
    for session in sessions:
        if session.session.is_active:
            session_store.send_request(repo, session, word)
    after = []
    for session in sessions:
        current = _wait_until_idle(repo, session.run)
        if current.session.is_active:
            progress(f"session {current.session.name}: its process does not answer, and is ended")
            _end_process(current)
            heal_sessions(repo, progress)
            current = session_store.load_session(repo, session.run) or current
        elif not current.is_told:
            current = session_store.change_session(repo, session.run, lambda item: item, publish=True)
        _close_terminal(current)
        after.append(current)
    return after


def _wait_until_idle(repo: Repository, session_id: str) -> HostSession:
    deadline = time.monotonic() + _CLOSE_SECONDS
    while True:
        session = session_store.load_session(repo, session_id)
        if session is None:
            raise PlannerError(
                "E_SESSION", f"the session '{session_id}' is gone", hint="git plan session list"
            )
        is_left = not session.session.is_active and session.is_told
        if is_left or session.sight() == "gone" or time.monotonic() >= deadline:
            return session
        time.sleep(_PAUSE)


def _end_process(session: HostSession) -> None:
    if session.process is not None:
        process_identity.end(session.process)


def _close_terminal(session: HostSession) -> None:
    if session.terminal is not None:
        with suppress(PlannerError):
            backend_of(session.terminal, os.environ).end(session.terminal)


def _finish_idle(repo: Repository, session: HostSession) -> HostSession:
    """Finish the run of a session that no process works on: its task is put back, its changes are kept."""
    run = store.load_run(run_folder(repo, session.run))
    if run is not None and run.ended_at is None:
        run = finish_idle_run(repo, run, "its session was closed")
    outcome = run.outcome if run is not None else "closed"

    def ended(current: HostSession) -> HostSession:
        if current.session.state == "ended":
            return current
        return current.moved("ended", ended_at=utc_now(), outcome=outcome)

    return session_store.change_session(repo, session.run, ended, publish=True)


def _left_running(session: HostSession) -> HostSession:
    if session.session.state == "ended":
        return session
    fields = {"outcome": "left_running", "reason": "it was closed, and its client left running"}
    return replace(session, session=session.session.moved("ended", ended_at=utc_now(), **fields))


def _check_here(session: HostSession) -> None:
    if session.is_remote or session.sight() == "far":
        raise PlannerError(
            "E_SESSION",
            f"the session '{session.session.name}' runs on '{session.session.host}', or in another container",
            hint="close it there",
        )
