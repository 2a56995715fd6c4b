"""Start sessions: reserve one, open its terminal, and wait until its client runs.

The program of `session_program.py` runs in the terminal and watches over the client. The session is written
before the terminal is opened, so that an interrupted start is found by the next command.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

from git_planner import atomic_file, redact
from git_planner.agents.templates import check_template_engine
from git_planner.config.settings import Settings, read_settings
from git_planner.errors import PlannerError
from git_planner.flows.board.sessions import session_store
from git_planner.flows.board.sessions.reconcile import heal_sessions
from git_planner.flows.board.sessions.session_client import session_client_of, session_sandbox
from git_planner.flows.board.sessions.session_store import HostSession
from git_planner.flows.plans.base_commit import find_base
from git_planner.flows.plans.current_plan import needed_plan
from git_planner.flows.runs.git_plan_program import git_plan_program
from git_planner.flows.runs.leases import held_lease, read_limits
from git_planner.flows.tasks.claims import check_claimable
from git_planner.flows.tasks.edit import PlanTasks, read_tasks, resume_task
from git_planner.gitio.git import program_environment
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity
from git_planner.host.clock import utc_now
from git_planner.host.leases.host_state import read_state
from git_planner.host.machine import host_name
from git_planner.host.terminals.choose import choose_backend
from git_planner.host.terminals.terminal import TerminalBackend
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.board.admission import refusal
from git_planner.rules.board.session import PLANNER, Session, SessionKind, worker_name
from git_planner.rules.tasks.task import Task

# Seconds to wait for the client of a new session, and for the start of another session before it.
START_SECONDS, QUEUE_SECONDS = 60.0, 120.0
_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class StartOptions:
    """Options of a new session; None means the default of the settings.

    `new_thread`: do not go on with the thread of the last session of this name. `notes` are added to the
    task.
    """

    plan: str | None = None
    backend: str | None = None
    client: str | None = None
    model: str | None = None
    effort: str | None = None
    sandbox: str | None = None
    allow_danger: bool = False
    new_thread: bool = False
    notes: tuple[str, ...] = ()


def spawn_worker(repo: Repository, task_id: str, options: StartOptions, progress: Progress) -> HostSession:
    """Start a worker on a task, or go on with its suspended session.

    Args:
        repo: the repository.
        task_id: the task, by any spelling of its id.
        options: the options.
        progress: called with each progress message.

    Returns:
        The session, whose client runs.

    Raises:
        PlannerError: E_BUSY when the task is claimed or this host has no room; E_TRANSITION when the task is
            not ready; E_MISSING_TOOL for the client or the terminal; E_SESSION when it did not start.
    """
    repo.ident()
    plan = needed_plan(repo, options.plan)
    heal_sessions(repo, progress)
    plan_tasks = read_tasks(repo, plan)
    task = plan_tasks.task(task_id)
    settings = _session_settings(repo, options)
    parts = _SessionParts(repo, settings, options)
    suspended = _suspended(repo, plan, worker_name(task.id))
    if suspended is not None:
        return _start(repo, suspended, parts.backend_of(suspended), progress)
    session = parts.new_session("worker", worker_name(task.id), plan)
    _check_single(repo, session)
    task = _claimable(repo, plan_tasks, task, options)
    session = replace(
        session,
        session=replace(
            session.session,
            task=task.id,
            continues=None if options.new_thread else _last_with_thread(repo, session.session),
        ),
    )
    return _start(repo, session, parts.backend, progress)


def start_planner(repo: Repository, options: StartOptions, progress: Progress) -> HostSession:
    """Start the planner's session, go on with its last thread, or return the one that runs.

    Raises:
        PlannerError: as `spawn_worker`; E_MISSING_FOLDER without a main worktree.
    """
    repo.ident()
    heal_sessions(repo, progress)
    settings = _session_settings(repo, options)
    plan = options.plan or settings.plan
    running = [
        session
        for session in session_store.host_sessions(repo)
        if session.session.name == PLANNER and session.session.is_active
    ]
    if running and not options.new_thread:
        if running[-1].session.plan != plan:
            progress(f"the planner of this repository works on '{running[-1].session.plan}', not on '{plan}'")
        return running[-1]
    if running:
        raise PlannerError(
            "E_BUSY",
            "the planner's session runs already",
            hint="close it first with 'git plan session close planner'",
        )
    parts = _SessionParts(repo, settings, options)
    suspended = None if options.new_thread else _suspended(repo, None, PLANNER)
    if suspended is not None:
        return _start(repo, suspended, parts.backend_of(suspended), progress)
    session = parts.new_session("planner", PLANNER, plan)
    if not options.new_thread:
        continues = _last_with_thread(repo, session.session)
        session = replace(session, session=replace(session.session, continues=continues))
    return _start(repo, session, parts.backend, progress)


def resume_session(repo: Repository, session: HostSession, progress: Progress) -> HostSession:
    """Start the client of a suspended session again.

    Raises:
        PlannerError: as `spawn_worker`.
    """
    socket = read_settings(repo).tmux_socket
    backend = choose_backend(session.session.backend, os.environ, socket)
    return _start(repo, session, backend, progress)


def group_name(repo: Repository) -> str:
    """Return the name of the terminals of a repository, such as 'git-planner-1f0c22ab'."""
    from hashlib import sha256

    return f"git-planner-{sha256(os.fsencode(repo.common)).hexdigest()[:8]}"


class _SessionParts:
    """Client and terminal of a new session; both are checked before anything is written."""

    def __init__(self, repo: Repository, settings: Settings, options: StartOptions) -> None:
        self._repo, self._settings, self._options = repo, settings, options
        check_template_engine()
        policy = find_base(repo, options.plan or settings.plan, None).policy
        access = session_client_of(repo, settings.session_client, policy, settings)
        self.client, self._drops_keys = access.client, bool(access.drop)
        self.backend = choose_backend(settings.terminal, os.environ, settings.tmux_socket)

    def backend_of(self, session: HostSession) -> TerminalBackend:
        """Return the terminal of a suspended session: the one that was asked for, else the one it had."""
        if self._options.backend is not None:
            return self.backend
        return choose_backend(session.session.backend, os.environ, self._settings.tmux_socket)

    def new_session(self, kind: SessionKind, name: str, plan: str) -> HostSession:
        """Return a reserved session, not yet written."""
        settings = self._settings
        model = settings.planner_model if kind == "planner" else settings.worker_model
        session = Session(
            session=refnames.new_id(utc_now()),
            name=name,
            kind=kind,
            plan=plan,
            state="reserved",
            client=self.client.name,
            backend=self.backend.name,
            host=host_name(),
            reserved_at=utc_now(),
            model=self._options.model or model,
            effort=self._options.effort,
            sandbox=session_sandbox(
                kind,
                self._options.sandbox,
                settings.session_sandbox,
                allow_danger=self._options.allow_danger,
            ),
            # Nobody sits at a worker's terminal: what its sandbox forbids is refused.
            approval="on-request" if kind == "planner" and self.backend.name != "headless" else "never",
        )
        return HostSession(session, interval=settings.heartbeat, drops_keys=self._drops_keys)


def _session_settings(repo: Repository, options: StartOptions) -> Settings:
    return read_settings(repo, plan=options.plan, terminal=options.backend, session_client=options.client)


def _suspended(repo: Repository, plan: str | None, name: str) -> HostSession | None:
    """Return the suspended session of a name, the newest."""
    sessions = [
        session
        for session in session_store.host_sessions(repo)
        if session.session.name == name
        and session.session.state == "suspended"
        and plan in (None, session.session.plan)
    ]
    return sessions[-1] if sessions else None


def _last_with_thread(repo: Repository, session: Session) -> str | None:
    """Return the id of the last session of the same name, plan and client that has a thread."""
    earlier = [
        other.session
        for other in session_store.host_sessions(repo)
        if other.session.thread is not None
        and (other.session.name, other.session.plan, other.session.client)
        == (session.name, session.plan, session.client)
    ]
    return earlier[-1].session if earlier else None


def _claimable(repo: Repository, plan_tasks: PlanTasks, task: Task, options: StartOptions) -> Task:
    """Return the task, put back with notes when it waited for an answer; check that it can be claimed."""
    waits = task.status in ("needs_input", "blocked") and options.notes
    if waits:
        resume_task(repo, plan_tasks.plan, task.id, options.notes, at=repo.now(), by=repo.ident())
        plan_tasks = read_tasks(repo, plan_tasks.plan)
        task = plan_tasks.task(task.id)
    check_claimable(repo, plan_tasks, task)
    return task


def _start(
    repo: Repository, session: HostSession, backend: TerminalBackend, progress: Progress
) -> HostSession:
    """Open the terminal of a reserved or suspended session under a lease, and wait until its client runs."""
    _check_room(repo)
    purpose = f"start the session {session.session.name}"
    with held_lease(repo, kind="spawn", purpose=purpose, wait=QUEUE_SECONDS, tell=progress):
        return _open_terminal(repo, session, backend)


def _check_room(repo: Repository) -> None:
    """Refuse a session while load or memory of this host are beyond their thresholds.

    Raises:
        PlannerError: E_BUSY.
    """
    state = read_state()
    reason = refusal(state, read_limits(read_settings(repo), state).spawn_thresholds)
    if reason:
        raise PlannerError(
            "E_BUSY",
            f"this host has no room for another session: {reason}",
            hint="see 'git plan resources', and try again later",
        )


def _open_terminal(repo: Repository, session: HostSession, backend: TerminalBackend) -> HostSession:
    with session_store.sessions_lock(repo):
        _check_single(repo, session)
        _end_answered(repo, session)
        session_store.clear_request(repo, session.run)
        is_new = session.session.state == "reserved"
        identity = process_identity.identity(os.getpid())
        # A suspended session stays suspended until its own process has taken it over.
        session = replace(
            session,
            process=identity,
            terminal=None,
            session=replace(session.session, backend=backend.name, reason=None),
        )
        session_store.save_session(repo, session, publish=False)
        # Its program loads what it needs, and waits for the lock.
        terminal = backend.start(
            session.session.name,
            (git_plan_program(), "session-program", session.run),
            cwd=repo.top or repo.common,
            env=program_environment({}),
            group=group_name(repo),
            log=session_store.log_file(repo, session.run),
        )
        with ExitStack() as on_failure:
            on_failure.callback(backend.end, terminal)
            session_store.save_session(repo, replace(session, terminal=terminal), publish=is_new)
            on_failure.pop_all()
    return _wait_until(repo, session.run, _has_started)


def _check_single(repo: Repository, session: HostSession) -> None:
    """Refuse a second active session of the same name and plan.

    Raises:
        PlannerError: E_BUSY.
    """
    for other in session_store.host_sessions(repo):
        same = (other.session.name, other.session.plan) == (session.session.name, session.session.plan)
        is_started = other.run == session.run and other.session.state != "reserved"
        if is_started and other.sight() == "alive":
            raise PlannerError(
                "E_BUSY", f"another process starts the session '{other.session.name}' at this moment"
            )
        if same and other.run != session.run and other.session.is_active:
            raise PlannerError(
                "E_BUSY",
                f"the session '{other.session.name}' runs already",
                hint=f"git plan session attach {other.session.name} --plan {other.session.plan}",
            )


def _end_answered(repo: Repository, session: HostSession) -> None:
    """End the earlier sessions of a name that waited for an answer: this one goes on."""
    for other in session_store.host_sessions(repo):
        same = (other.session.name, other.session.plan) == (session.session.name, session.session.plan)
        if same and other.run != session.run and other.session.state == "needs_input":
            session_store.save_session(repo, other.moved("ended", ended_at=utc_now()))


def _has_started(session: HostSession) -> bool:
    is_failed = session.session.state == "suspended" and session.process is None
    return is_failed or session.session.state not in ("reserved", "starting", "suspended")


def _died(repo: Repository, session: HostSession) -> PlannerError:
    """Return the error for a session whose process has died before its client ran, with its last lines."""
    with suppress(PlannerError):
        heal_sessions(repo, lambda _: None)
    lines: list[str] = []
    with suppress(OSError):
        text = atomic_file.read(session_store.log_file(repo, session.run)).decode(errors="replace")
        lines = [line[:300] for line in redact.mask_text(text).splitlines() if line.strip()][-5:]
    message = f"the process of '{session.session.name}' ended before its client ran"
    return PlannerError("E_SESSION", message, hint="git plan session list", details=lines)


def _wait_until(repo: Repository, session_id: str, is_done: Callable[[HostSession], bool]) -> HostSession:
    """Wait for the client of a session.

    Raises:
        PlannerError: E_SESSION when it ended at once, or did not start in time.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        session = session_store.load_session(repo, session_id)
        if session is not None and session.session.is_active and session.sight() == "gone":
            raise _died(repo, session)
        if session is not None and is_done(session):
            break
        if session is None or time.monotonic() >= deadline:
            raise PlannerError(
                "E_SESSION",
                f"the client of the session did not start within {START_SECONDS:g} seconds",
                hint="look at it with 'git plan session list', and close it with 'git plan session close'",
            )
        time.sleep(_PAUSE)
    if session.session.state == "suspended" or session.session.outcome == "not_started":
        raise PlannerError(
            "E_SESSION",
            f"'{session.session.name}' did not start: {session.session.reason}",
            hint="git plan session list",
        )
    return session
