"""Heal sessions whose process has gone: suspend, finish or end them. It can be interrupted anywhere."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from functools import partial

from git_planner.errors import PlannerError
from git_planner.flows.board.sessions import session_store
from git_planner.flows.board.sessions.session_store import HostSession
from git_planner.flows.delegation import agent_result
from git_planner.flows.iterations import process_lock
from git_planner.flows.runs import store
from git_planner.flows.runs.store import Run, run_folder
from git_planner.flows.tasks.edit import read_tasks
from git_planner.gitio.repository import Repository
from git_planner.host.clock import utc_now
from git_planner.host.terminals.choose import backend_of
from git_planner.progress import Progress
from git_planner.rules.board.session import recovery_step
from git_planner.rules.delegation.outcome import RunEnding


def heal_sessions(repo: Repository, progress: Progress) -> tuple[HostSession, ...]:
    """Bring every session of this host whose process has gone into a state that it can stay in.

    Args:
        repo: the repository.
        progress: called with each progress message.

    Returns:
        The sessions that were healed.

    Raises:
        PlannerError: what `recover_runs` raises.
    """
    healed = []
    for session in session_store.host_sessions(repo):
        run = store.load_run(run_folder(repo, session.run))
        if session.session.state == "ended":
            _finish_left_run(repo, session, run, progress)
        step = recovery_step(session.session.state, session.sight(), has_result=_has_result(repo, run))
        if step == "leave":
            if not session.is_told and session.sight() == "gone":
                session_store.change_session(repo, session.run, lambda current: current, publish=True)
            continue
        if run is not None and run.ended_at is None:
            _recover_runs(repo, run.plan, progress)
            run = store.load_run(run_folder(repo, session.run))
            if run is not None and run.ended_at is None and run.suspended_at is None:
                # Another process works on it, or its claim is not seen to have lapsed yet.
                continue
        after = session_store.change_session(repo, session.run, partial(_healed, run=run), publish=True)
        _close_terminal(after)
        progress(f"session {after.session.name}: {after.session.state}, since its process had gone")
        healed.append(after)
    return tuple(healed)


def _recover_runs(repo: Repository, plan: str, progress: Progress) -> None:
    """Recover the runs of dead delegators; most starts of a session have none, and load nothing for it."""
    from git_planner.flows.delegation.recover import recover_runs

    recover_runs(repo, plan, progress)


def finish_idle_run(repo: Repository, run: Run, reason: str) -> Run:
    """Finish a run that no process works on: its task is put back, its changes are kept.

    Raises:
        PlannerError: E_BUSY when a process works on it; what `finish_run` raises.
    """
    from git_planner.flows.delegation.finish_run import finish_run

    with process_lock.lock_iteration(repo, run.iteration):
        task = read_tasks(repo, run.plan).task(run.task)
        return finish_run(repo, run, task, RunEnding("interrupted", reason, thread=run.thread))


def _finish_left_run(repo: Repository, session: HostSession, run: Run | None, progress: Progress) -> None:
    """Finish the run of a session that was closed while its client went on, once its process has gone."""
    if run is None or run.ended_at is not None or session.sight() != "gone":
        return
    _recover_runs(repo, run.plan, progress)
    left = store.load_run(run_folder(repo, session.run))
    if left is not None and left.ended_at is None and left.suspended_at is not None:
        finish_idle_run(repo, left, "its process died after its session was closed")
        progress(f"{left.task}: put back, since the process of its closed session had gone")


def state_after(session: HostSession, run: Run | None) -> HostSession:
    """Return a session as its run ended: suspended, waiting for an answer, or ended."""
    if run is not None and run.ended_at is None and run.suspended_at is not None:
        return replace(session.moved("suspended", thread=run.thread or session.session.thread), process=None)
    if run is None or run.ended_at is None:
        return session.moved("ended", ended_at=utc_now(), outcome="not_started", reason="it had not started")
    fields = {
        "outcome": run.outcome,
        "reason": run.reason[:4000] if run.reason else None,
        "thread": run.thread or session.session.thread,
    }
    if run.outcome == "needs_input":
        return session.moved("needs_input", **fields)
    return session.moved("ended", ended_at=utc_now(), **fields)


def _healed(session: HostSession, run: Run | None) -> HostSession:
    """Return a session of a dead process in a state that it can stay in."""
    if session.session.is_active and session.sight() != "gone":
        # Another process has taken it over meanwhile.
        return session
    if session.session.kind == "worker":
        return state_after(session, run)
    if session.session.thread is not None and session.session.state != "ending":
        return replace(session.moved("suspended"), process=None)
    return session.moved("ended", ended_at=utc_now(), outcome="lost", reason="its process died")


def _has_result(repo: Repository, run: Run | None) -> bool:
    return run is not None and run.ended_at is None and agent_result.read_result(repo, run)[0] is not None


def _close_terminal(session: HostSession) -> None:
    """Close the terminal that a dead process left behind."""
    if session.terminal is not None and not session.session.is_active:
        with suppress(PlannerError):
            backend_of(session.terminal, os.environ).end(session.terminal)
