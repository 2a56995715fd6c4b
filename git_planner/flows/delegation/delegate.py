"""`git plan delegate`: give ready tasks to agents, each in its own worktree, and collect their results."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from git_planner.agents import registry
from git_planner.agents.contract import Implementer, Sandbox
from git_planner.config.settings import read_settings
from git_planner.errors import DONE, NO, PlannerError
from git_planner.flows.approval.approval import ask_remote
from git_planner.flows.delegation.recover import recover_runs, requeue_task
from git_planner.flows.delegation.remote_claims import RemoteClaims
from git_planner.flows.delegation.start_run import AgentSetup, StartedRun, prepare_run, start_run
from git_planner.flows.delegation.worker import Worker
from git_planner.flows.planning.iteration_start import reserve_number
from git_planner.flows.plans.base_commit import find_base
from git_planner.flows.plans.current_plan import needed_plan
from git_planner.flows.runs import store
from git_planner.flows.runs.inspect import question_lines
from git_planner.flows.runs.store import Run
from git_planner.flows.tasks.claim_refs import claimed_tasks
from git_planner.flows.tasks.claims import check_claimable
from git_planner.flows.tasks.edit import PlanTasks, read_tasks
from git_planner.gitio import agent_worktree
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules.policy.policy import Policy
from git_planner.rules.tasks import lint, readiness
from git_planner.rules.tasks.lint import LintFault
from git_planner.rules.tasks.task import Task

# Another process won the race for the task, or has just made it unready: choose again.
_RACE_CODES = ("E_BUSY", "E_CONFLICT", "E_TRANSITION")
# This task cannot be started; others may be.
_SKIP_CODES = ("E_MERGE", "E_NO_BASE", "E_GUARD", "E_REVIEW")


@dataclass(frozen=True, slots=True)
class DelegateOptions:
    """Options of one `git plan delegate`; None means the default of the settings or the policy.

    `start` names the commit that tasks start from. `remote` is a remote shared by several clones; None for
    none. `seconds` is one deadline for an agent's launch, work and result.
    """

    plan: str | None = None
    task: str | None = None
    max_tasks: int = 1
    parallel: int = 1
    start: str | None = None
    remote: str | None = None
    implementer: str | None = None
    model: str | None = None
    effort: str | None = None
    sandbox: Sandbox | None = None
    approval: str = "never"
    allow_danger: bool = False
    seconds: float | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class DelegationResult:
    """Result of one `git plan delegate`.

    `skipped` are tasks that could not be started, with the reason; `would` those that a dry run would start,
    `waiting` the number of ready tasks left; `faults` errors in the plan, which keep all tasks from starting;
    `questions` what agents asked, with the command that answers.
    """

    plan: str
    runs: tuple[Run, ...] = ()
    recovered: tuple[Run, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    would: tuple[Task, ...] = ()
    faults: tuple[LintFault, ...] = ()
    waiting: int = 0
    questions: tuple[tuple[str, ...], ...] = ()

    @property
    def exit(self) -> int:
        """Exit status: 0 when every started task is done, or none was ready; 1 otherwise."""
        has_failures = any(run.outcome != "done" for run in self.runs)
        return NO if self.faults or self.skipped or has_failures else DONE

    def document(self) -> dict[str, Any]:
        """The result as one JSON document."""
        return {
            "schema": "git-planner/delegated@1",
            "plan": self.plan,
            "runs": [run.document() for run in self.runs],
            "questions": [list(lines) for lines in self.questions],
            "recovered": [run.document() for run in self.recovered],
            "skipped": [{"task": task, "reason": reason} for task, reason in self.skipped],
            "would": [task.id for task in self.would],
            "faults": [fault.document() for fault in self.faults],
            "waiting": self.waiting,
        }


def delegate(repo: Repository, options: DelegateOptions, progress: Progress) -> DelegationResult:
    """Give ready tasks to agents until the limit is reached, or none is ready.

    Args:
        repo: the repository; no worktree of a person is changed.
        options: the options.
        progress: called with each progress message.

    Raises:
        PlannerError: E_USAGE for a sandbox that the agent does not support; E_TRANSITION, E_BUSY, E_MERGE
            for a named task that cannot be started; E_INTERRUPTED; what an agent raises that no task
            caused, with all tasks put back.
    """
    repo.ident()
    agent_worktree.check_signing(repo, read_settings(repo).sign_timeout)
    plan = needed_plan(repo, options.plan)
    base = find_base(repo, plan, options.start)
    setup = _read_settings(repo, options, base.policy)
    remote_claims = RemoteClaims(repo, plan, options.remote, progress) if options.remote else None
    if options.dry_run:
        return _dry_run(repo, plan, options)
    if remote_claims is not None:
        remote_claims.sync_plan()
    recovered = [
        *recover_runs(repo, plan, progress),
        *(_recover_remote(repo, remote_claims) if remote_claims else []),
    ]
    ask_remote(repo, base.policy, plan, "plan", progress)
    plan_tasks = read_tasks(repo, plan)
    faults = _plan_errors(plan_tasks)
    if faults:
        return DelegationResult(plan, recovered=tuple(recovered), faults=faults)
    result = _Delegator(Worker(repo, setup, progress), options, plan, remote_claims).run()
    return replace(result, recovered=tuple(recovered))


def choose_sandbox(implementer: Implementer, options: DelegateOptions) -> Sandbox | None:
    """Choose the sandbox of an agent; None when the agent has no sandbox that can be chosen.

    Raises:
        PlannerError: E_USAGE for options that the agent does not support, and without '--allow-danger'.
    """
    name, requested = implementer.name, options.sandbox
    if options.approval != "never":
        raise PlannerError(
            "E_USAGE",
            f"'{name}' cannot ask for approval ('{options.approval}'): it runs unattended",
            hint="leave '--approval' out, or give '--approval never'",
        )
    if requested is not None and requested not in implementer.sandboxes:
        supported = ", ".join(implementer.sandboxes) or "none"
        raise PlannerError(
            "E_USAGE",
            f"'{name}' does not support the sandbox '{requested}'",
            hint=f"leave '--sandbox' out; sandboxes of '{name}': {supported}",
        )
    if (requested == "danger-full-access") != options.allow_danger:
        raise PlannerError(
            "E_USAGE",
            "'--sandbox danger-full-access' and '--allow-danger' require each other on every call",
            hint="leave both out to keep the agent in its sandbox",
        )
    return requested or next(iter(implementer.sandboxes), None)


def _read_settings(repo: Repository, options: DelegateOptions, policy: Policy) -> AgentSetup:
    settings = read_settings(
        repo,
        policy=policy,
        plan=options.plan,
        implementer=options.implementer,
        implementer_model=options.model,
        implementer_effort=options.effort,
        implementer_timeout=options.seconds,
    )
    implementer = registry.make_implementer(settings.implementer, policy, settings, repo)
    return AgentSetup(
        settings=settings,
        implementer=implementer,
        sandbox=choose_sandbox(implementer, options),
        approval=options.approval,
        seconds=settings.implementer_timeout,
        start=options.start,
        remote=options.remote,
    )


def _plan_errors(plan_tasks: PlanTasks) -> tuple[LintFault, ...]:
    faults = lint.lint_tasks([task.document() for task in plan_tasks.tasks])
    return tuple(fault for fault in faults if fault.severity == "error")


def _dry_run(repo: Repository, plan: str, options: DelegateOptions) -> DelegationResult:
    plan_tasks = read_tasks(repo, plan)
    free = readiness.ready_tasks(plan_tasks.tasks, claimed_tasks(repo, plan))
    if options.task is not None:
        named = plan_tasks.task(options.task)
        free = [task for task in free if task.id == named.id]
    chosen = readiness.pick_parallel(free, options.max_tasks)
    return DelegationResult(
        plan, would=tuple(chosen), faults=_plan_errors(plan_tasks), waiting=len(free) - len(chosen)
    )


def _recover_remote(repo: Repository, remote_claims: RemoteClaims) -> list[Run]:
    """Put back tasks of dead delegators on other machines; publish runs that the remote lacks."""
    plan_tasks = read_tasks(repo, remote_claims.plan)
    for task, run in remote_claims.lapsed_runs(plan_tasks):
        requeue_task(repo, remote_claims.plan, task, run, "its delegator, on another machine, died")
    unpublished = [run for run in store.list_runs(repo, remote_claims.plan) if run.claim and run.ended_at]
    return [remote_claims.publish_run(run) for run in unpublished if run.remote == remote_claims.remote_name]


class _Delegator:
    """One delegator at work. Only the agents run in parallel; one thread at a time does everything else."""

    def __init__(
        self, worker: Worker, options: DelegateOptions, plan: str, remote_claims: RemoteClaims | None
    ) -> None:
        self.repo, self.setup, self.progress = worker.repo, worker.setup, worker.progress
        self.stop, self.lock = worker.stop, worker.lock
        self.worker, self.options, self.plan, self.remote_claims = worker, options, plan, remote_claims
        self.reserved_number: int | None = None
        self.started_count = 0
        self.finished: list[Run] = []
        self.skipped: dict[str, str] = {}
        self.failure: PlannerError | None = None
        # The first task that lacks an approval; it is the result if no task was started.
        self.refusal: PlannerError | None = None
        self.is_interrupted = self.has_raced = False

    def run(self) -> DelegationResult:
        """Start tasks as agents become free, until none is left to start."""
        agents: set[Future[Run]] = set()
        with _stop_on_signals(self.stop), ThreadPoolExecutor(self.options.parallel) as pool:
            try:
                while self._start_more(pool, agents) or agents:
                    ended, agents = wait(agents, timeout=0.2, return_when=FIRST_COMPLETED)
                    for future in ended:
                        self._collect(future)
            finally:
                # After an error, too, no agent outlives its delegator.
                self.stop.set()
        if self.failure is not None:
            raise self.failure
        if self.is_interrupted or any(run.outcome == "interrupted" for run in self.finished):
            raise PlannerError(
                "E_INTERRUPTED",
                "interrupted; the agents were stopped, and unfinished tasks were put back",
                hint="git plan delegate",
            )
        if self.refusal is not None and not self.finished:
            raise self.refusal
        questions = tuple(filter(None, (tuple(question_lines(self.repo, run)) for run in self.finished)))
        return DelegationResult(
            self.plan, tuple(self.finished), skipped=tuple(self.skipped.items()), questions=questions
        )

    def _start_more(self, pool: ThreadPoolExecutor, agents: set[Future[Run]]) -> bool:
        """Start as many tasks as there is room for; False when no more are to be started."""
        limit = 1 if self.options.task is not None else self.options.max_tasks
        while len(agents) < self.options.parallel:
            if self.stop.is_set():
                self.is_interrupted = True
                return False
            if self.started_count >= limit or self.failure is not None:
                return False
            with self.lock:
                started = self._start_next()
            if started is None:
                return False
            self.started_count += 1
            agents.add(pool.submit(self._run_task, started))
        return True

    def _run_task(self, started: StartedRun) -> Run:
        run = self.worker.run_task(started)
        with self.lock:
            return self.remote_claims.publish_run(run) if self.remote_claims else run

    def _collect(self, ended: Future[Run]) -> None:
        try:
            run = ended.result()
        except PlannerError as error:
            self.failure = self.failure or error
            self.stop.set()
        else:
            self.finished.append(run)
            self.progress(f"{run.task}: {run.outcome}{f', {run.reason}' if run.reason else ''}")
            for line in question_lines(self.repo, run):
                self.progress(line)

    def _start_next(self) -> StartedRun | None:
        """Start the next task that can be started; None when none can."""
        while not self.stop.is_set():
            plan_tasks = read_tasks(self.repo, self.plan)
            task = self._next_task(plan_tasks)
            if task is None:
                return None
            try:
                started = self._start_task(plan_tasks, task)
            except PlannerError as error:
                if self.options.task is not None:
                    raise
                if error.code in _SKIP_CODES:
                    self.refusal = self.refusal or (error if error.code == "E_REVIEW" else None)
                    self.skipped[task.id] = error.message
                    self.progress(f"{task.id}: skipped, {error.message}")
                    continue
                if error.code not in _RACE_CODES:
                    raise
                self.progress(f"{task.id}: not started: {error.message}")
                started = None
            if started is not None:
                self.reserved_number = None
                return started
            self.has_raced = True
        return None

    def _next_task(self, plan_tasks: PlanTasks) -> Task | None:
        if self.options.task is not None:
            return plan_tasks.task(self.options.task)
        claimed_ids = claimed_tasks(self.repo, self.plan) | (
            self.remote_claims.held_tasks() if self.remote_claims else frozenset()
        )
        free = readiness.ready_tasks(plan_tasks.tasks, claimed_ids)
        candidates = [task for task in free if task.id not in self.skipped]
        if not candidates:
            return None
        # Delegators that all choose the first task would collide once for every task.
        return random.choice(candidates) if self.has_raced else candidates[0]

    def _start_task(self, plan_tasks: PlanTasks, task: Task) -> StartedRun | None:
        is_named = self.options.task is not None
        if is_named:
            # A named task need not be ready, and a refused task must not use up a number.
            check_claimable(self.repo, plan_tasks, task)
            if self.remote_claims is not None and task.id in self.remote_claims.held_tasks():
                raise self.remote_claims.claimed_error(task.id)
        request = prepare_run(self.repo, plan_tasks, task, self.setup, self._reserve_number, ask=False)
        if self.remote_claims is None:
            return start_run(self.repo, request, self.setup)
        acquired = self.remote_claims.acquire(request.claim())
        if acquired is None:
            if is_named:
                raise self.remote_claims.claimed_error(task.id)
            return None
        try:
            return start_run(self.repo, request, self.setup, acquired)
        except PlannerError:
            self.remote_claims.release(task.id, acquired[1])
            raise

    def _reserve_number(self) -> int:
        """Return a number for the next iteration; an unused one goes to the next task."""
        if self.reserved_number is None:
            self.reserved_number = reserve_number(self.repo)
        return self.reserved_number


@contextmanager
def _stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into a request to stop, instead of an exception at any line."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handled = [number for number in numbers if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    caught: list[int] = []

    def note(number: int, _: object) -> None:
        caught.append(number)
        stop.set()

    earlier_handlers: dict[int, Any] = {number: signal.signal(number, note) for number in handled}
    try:
        yield
    finally:
        for number, handler in earlier_handlers.items():
            signal.signal(number, handler)
        if caught and callable(handler := earlier_handlers[caught[0]]):
            # It decides with which status the command ends; what was interrupted is told by the caller.
            with suppress(KeyboardInterrupt):
                handler(caught[0], None)
