"""The program in a session's terminal: it watches over the client, and records its start and its end.

It is the process of the session. A worker's claims the task, as any delegator does, and finishes the run when
its client has ended; a planner's runs the client in the main worktree.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from git_planner import atomic_file, redact
from git_planner.agents.confinement import NOT_CONFINED, confine
from git_planner.agents.contract import SuspendedTurn
from git_planner.agents.interactive.session_client import ClientThread, SessionClient, TurnHooks
from git_planner.agents.interactive.trust_prompt import answer_trust_prompt, shows
from git_planner.agents.templates import preload_template_engine
from git_planner.config.settings import Settings, read_settings
from git_planner.errors import PlannerError
from git_planner.flows.board.sessions import session_store
from git_planner.flows.board.sessions.reconcile import state_after
from git_planner.flows.board.sessions.session_client import planner_server, session_client_of
from git_planner.flows.board.sessions.session_prompt import planner_prompt, worker_prompt
from git_planner.flows.board.sessions.session_store import HostSession
from git_planner.flows.delegation import agent_result
from git_planner.flows.delegation.start_run import (
    CLAIM_GRACE_SECONDS,
    AgentSetup,
    StartedRun,
    prepare_run,
    start_run,
)
from git_planner.flows.delegation.suspend_run import adopt_run
from git_planner.flows.delegation.worker import Worker
from git_planner.flows.planning.iteration_start import reserve_number
from git_planner.flows.plans.base_commit import find_base
from git_planner.flows.runs import store
from git_planner.flows.runs.heartbeat import HeartbeatWriter
from git_planner.flows.runs.store import Run, run_folder
from git_planner.flows.tasks.edit import read_tasks
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity
from git_planner.host.clock import utc_now
from git_planner.host.leases.host_lease import HostLeases
from git_planner.host.terminals.choose import backend_of
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.board.session import Session
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning.directive import state_from
from git_planner.rules.policy.interactive_client import ClientRequest, TrustPrompt
from git_planner.rules.policy.policy import Policy
from git_planner.rules.printable import printable_line

# Seconds that a client may take until it asks whether its folder can be trusted.
_TRUST_SECONDS, _TRUST_PAUSE = 30.0, 0.1
_LOG_TAIL, _LAST_LINES = 16 * 1024, 10


def run_session(repo: Repository, session_id: str, progress: Progress) -> HostSession:
    """Run the client of a session until it ends, is suspended or closed.

    Args:
        repo: the repository.
        session_id: the session, reserved or suspended.
        progress: called with each progress message.

    Returns:
        The session as it was left.

    Raises:
        PlannerError: E_SESSION when another process has the session, or it has ended.
    """
    preload_template_engine()
    with _keys_ignored():
        session = session_store.change_session(repo, session_id, _taken_over)
        try:
            end = _work(repo, session, progress) if session.task else _plan(repo, session)
        except PlannerError as error:
            text = f"{error.message} ({error.code})"
            session_store.change_session(
                repo,
                session_id,
                lambda current: _failed(current, text, _unfinished(repo, current)),
                publish=True,
            )
            raise
        return session_store.change_session(
            repo, session_id, lambda current: _left(current, end), publish=True
        )


@contextmanager
def _keys_ignored() -> Iterator[None]:
    """Ignore the keys of a terminal that interrupt; a client gets them all the same.

    A client that ends by them leaves its end to be written down, and a person may press them once more.
    """
    handlers: dict[int, Any] = {}
    # Only the main thread may set handlers.
    with suppress(ValueError):
        for number in (signal.SIGINT, signal.SIGQUIT):
            handlers[number] = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for key, handler in handlers.items():
            signal.signal(key, handler)


def _taken_over(session: HostSession) -> HostSession:
    is_taken = session.session.is_active and session.session.state != "reserved" and session.sight() != "gone"
    if is_taken or session.session.state in ("ended", "needs_input"):
        raise PlannerError(
            "E_SESSION",
            f"the session '{session.session.name}' is {session.session.state}, and is not started again",
            hint="git plan session list",
        )
    started = session.moved("starting", started_at=utc_now())
    return replace(started, process=process_identity.identity(os.getpid()))


def _work(repo: Repository, session: HostSession, progress: Progress) -> Run:
    """Let the client work on the task of a session; return the run as it ended or was suspended."""
    base = find_base(repo, session.session.plan, None)
    settings = read_settings(repo, policy=base.policy, plan=session.session.plan)
    run = store.load_run(run_folder(repo, session.run))
    client = _client(
        repo, session, settings, base.policy, lambda prompt: worker_prompt(session.session, prompt)
    )
    setup = AgentSetup(
        settings=settings,
        implementer=client,
        sandbox=session.session.sandbox,
        approval=session.session.approval or "never",
        seconds=settings.session_timeout,
        run=session.run,
        session=session.session.name,
        # A worker takes leases before heavy work, and its processes are seen by their locks.
        writable=(HostLeases().made_folder(),),
    )
    started = _started(repo, session, setup) if run is None else _resumed(repo, run)
    fields = {"branch": started.run.branch, "base": started.run.base}
    _note(repo, session.run, fields)
    return Worker(repo, setup, progress).run_task(started)


def _started(repo: Repository, session: HostSession, setup: AgentSetup) -> StartedRun:
    plan_tasks = read_tasks(repo, session.session.plan)
    task = plan_tasks.task(str(session.task))
    request = prepare_run(repo, plan_tasks, task, setup, lambda: reserve_number(repo))
    return start_run(repo, request, setup)


def _resumed(repo: Repository, run: Run) -> StartedRun:
    """Take over the suspended run of a session."""
    adopted = adopt_run(repo, run, CLAIM_GRACE_SECONDS)
    task = read_tasks(repo, run.plan).task(run.task)
    with repo.git.batch() as batch:
        data = batch.read(f"{run.start}:{refnames.STATE_FILE}") or b""
    state = state_from(canonical_json.loads_trusted(data))
    return StartedRun(task, adopted, state, find_base(repo, run.plan, run.base))


def _plan(repo: Repository, session: HostSession) -> HostSession:
    """Run the planner's client in the main worktree; return the session as its client left it."""
    if repo.top is None:
        raise PlannerError("E_USAGE", "a planner works in a worktree, and this repository has none")
    settings = read_settings(repo, plan=session.session.plan)
    policy = find_base(repo, settings.plan, None).policy
    client = _client(repo, session, settings, policy, lambda prompt: prompt)
    folder = run_folder(repo, session.run)
    beat = HeartbeatWriter(folder, session, lambda: False)
    env = {"GIT_PLANNER_PLAN": session.session.plan, "GIT_PLANNER_SESSION": session.session.name}
    prompt = planner_prompt(repo, session)
    try:
        client.run(prompt, repo.top, folder, settings.session_timeout, env=env, on_tick=beat)
    except SuspendedTurn as turn:
        return session.moved("suspended", thread=turn.thread or session.session.thread)
    except KeyboardInterrupt:
        return session.moved("ended", ended_at=utc_now(), outcome="closed")
    return session.moved("ended", ended_at=utc_now(), outcome="done")


def _client(
    repo: Repository, session: HostSession, settings: Settings, policy: Policy, wrap: Callable[[str], str]
) -> SessionClient:
    """Return the client of a session, confined unless it plans: a planner's tools write to the repository."""
    document = session.session
    access = session_client_of(repo, document.client, policy, settings, drops_keys=session.drops_keys)
    request = ClientRequest(
        cwd=str(repo.place),
        model=document.model,
        effort=document.effort,
        sandbox=document.sandbox or "workspace-write",
        approval="on-request" if document.approval == "on-request" else "never",
        mcp=planner_server() if document.kind == "planner" else None,
        program=access.client.program,
        profile=settings.codex_profile if document.client == "codex" else None,
    )
    return SessionClient(
        access,
        request,
        confine(repo, policy) if document.task else NOT_CONFINED,
        _hooks(
            repo,
            session,
            access.client.trust if settings.trust_prompt == "answer" else (),
            access.client.asks,
            wrap,
        ),
        ClientThread(document.session, _thread(repo, document), document.backend == "headless"),
    )


def _hooks(
    repo: Repository,
    session: HostSession,
    trust: Sequence[TrustPrompt],
    asks: Sequence[Sequence[str]],
    wrap: Callable[[str], str],
) -> TurnHooks:
    thread = _thread(repo, session.session)

    def on_start() -> None:
        session_store.change_session(
            repo,
            session.run,
            lambda current: current.moved("running", thread=current.session.thread or thread),
            publish=True,
        )
        _answer_trust_prompt(repo, session.run, trust)

    def has_result() -> bool:
        run = store.load_run(run_folder(repo, session.run)) if session.task else None
        return run is not None and agent_result.read_result(repo, run)[0] is not None

    return TurnHooks(
        on_start=on_start,
        on_thread=lambda thread: _note(repo, session.run, {"thread": thread}),
        request=lambda: session_store.read_request(repo, session.run),
        has_result=has_result,
        last_lines=lambda: _last_lines(repo, session.run),
        look=lambda: _look_for_question(repo, session.run, asks),
        look_seconds=session.interval,
        wrap=wrap,
    )


def _screen(session: HostSession | None) -> str | None:
    """Return what the terminal of a session shows; None if that cannot be seen."""
    if session is not None and session.terminal is not None:
        with suppress(PlannerError):
            return backend_of(session.terminal, os.environ).screen(session.terminal)
    return None


def _look_for_question(repo: Repository, session_id: str, asks: Sequence[Sequence[str]]) -> None:
    """Note that the client waits for an answer in its terminal, or that it does not any more."""
    session = session_store.load_session(repo, session_id)
    if session is None or not asks:
        return
    screen = _screen(session) or ""
    is_asking = any(shows(patterns, screen) for patterns in asks)
    if is_asking != (session.asking_since is not None):
        since = utc_now() if is_asking else None
        session_store.change_session(repo, session_id, lambda current: replace(current, asking_since=since))


def _last_lines(repo: Repository, session_id: str) -> list[str]:
    """Return the last lines that the terminal of a session shows, or that its log holds."""
    screen = _screen(session_store.load_session(repo, session_id))
    if screen is None:
        with suppress(OSError), atomic_file.open_regular(session_store.log_file(repo, session_id)) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_TAIL))
            screen = file.read().decode(errors="replace")
    lines = redact.mask_text(screen or "").splitlines()
    return [printable_line(line)[:300] for line in lines if line.strip()][-_LAST_LINES:]


def _answer_trust_prompt(repo: Repository, session_id: str, trust: Sequence[TrustPrompt]) -> None:
    """Answer the client's question about its folder, in a thread of its own, while the client starts."""

    def answer() -> None:
        deadline = time.monotonic() + _TRUST_SECONDS
        while time.monotonic() < deadline:
            session = session_store.load_session(repo, session_id)
            if session is not None and session.terminal is not None:
                backend = backend_of(session.terminal, os.environ)
                with suppress(PlannerError):
                    answer_trust_prompt(backend, session.terminal, trust, _TRUST_SECONDS)
                return
            time.sleep(_TRUST_PAUSE)

    if trust:
        threading.Thread(target=answer, daemon=True).start()


def _thread(repo: Repository, session: Session) -> str | None:
    """Return the thread that a client goes on with: its own, else that of the session it continues."""
    if session.thread is not None or session.continues is None:
        return session.thread
    earlier = session_store.load_session(repo, session.continues)
    return earlier.session.thread if earlier is not None else None


def _note(repo: Repository, session_id: str, fields: Mapping[str, Any]) -> None:
    """Write down what became known of a session."""
    session_store.change_session(
        repo, session_id, lambda current: replace(current, session=replace(current.session, **fields))
    )


def _left(session: HostSession, end: Run | HostSession) -> HostSession:
    """Return a session as its client left it; one that was closed meanwhile stays closed."""
    if session.session.state == "ended":
        return session
    if isinstance(end, Run):
        return state_after(session, end)
    ended = replace(end.session, thread=session.session.thread or end.session.thread)
    return replace(session, session=ended, process=None if ended.state == "suspended" else session.process)


def _unfinished(repo: Repository, session: HostSession) -> bool:
    """Return whether the run of a session has begun and not ended: it holds its task."""
    run = store.load_run(run_folder(repo, session.run))
    return run is not None and run.ended_at is None


def _failed(session: HostSession, reason: str, is_unfinished: bool) -> HostSession:
    """Return a session whose program failed: it can be resumed if its run holds its task."""
    if session.session.state == "ended":
        return session
    if is_unfinished:
        return replace(session.moved("suspended", reason=reason[:4000]), process=None)
    outcome = "agent_failed" if session.session.state == "running" else "not_started"
    return session.moved("ended", ended_at=utc_now(), outcome=outcome, reason=reason[:4000])
