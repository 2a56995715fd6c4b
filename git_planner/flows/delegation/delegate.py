"""`git plan delegate`: give ready tasks to agents, each in its own worktree, and take in what they say."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from git_planner.agents import registry
from git_planner.agents.contract import Implementer, Sandbox, Tell
from git_planner.config.settings import read_settings
from git_planner.errors import DONE, NO, PlannerError
from git_planner.flows.delegation.recover import put_back, recover
from git_planner.flows.delegation.remote_claims import RemoteClaims
from git_planner.flows.delegation.start_run import Begun, Terms, begin, intent
from git_planner.flows.delegation.worker import Carrier
from git_planner.flows.planning.ask_planner import reserve_number
from git_planner.flows.plans.base_commit import find_base
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.runs import store
from git_planner.flows.runs.store import Run
from git_planner.flows.tasks.claims import check_free, held
from git_planner.flows.tasks.edit import Tasks, read_tasks
from git_planner.gitio.repository import Repository
from git_planner.rules.policy.policy import Policy
from git_planner.rules.tasks import lint, readiness
from git_planner.rules.tasks.lint import LintFault
from git_planner.rules.tasks.task import Task

# Somebody else was faster, or has just made it impossible: look again.
_RACED = ("E_BUSY", "E_CONFLICT", "E_TRANSITION")
# A task that cannot be begun for reasons of its own; others can.
_UNFIT = ("E_MERGE", "E_NO_BASE", "E_GUARD")


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked of a delegator; None means the settings' or the policy's own.

    `start` is where tasks start from. `remote` is one that several clones share; None for none. `seconds` is
    one deadline for an agent's launch, work and result.
    """

    plan: str | None = None
    task: str | None = None
    most: int = 1
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
class Delegated:
    """What a delegator did.

    `skipped` are tasks that could not be begun, with the reason; `would` those that a dry run would begin,
    `waiting` how many would be left; `faults` what is wrong with the plan, so that nothing was begun.
    """

    plan: str
    runs: tuple[Run, ...] = ()
    recovered: tuple[Run, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    would: tuple[Task, ...] = ()
    faults: tuple[LintFault, ...] = ()
    waiting: int = 0

    @property
    def exit(self) -> int:
        """0 when all that was begun is done, or nothing was ready; 1 otherwise, and for a broken plan."""
        bad = any(each.outcome != "done" for each in self.runs)
        return NO if self.faults or self.skipped or bad else DONE

    def document(self) -> dict[str, Any]:
        """The result as one JSON document."""
        return {
            "schema": "git-planner/delegated@1",
            "plan": self.plan,
            "runs": [each.document() for each in self.runs],
            "recovered": [each.document() for each in self.recovered],
            "skipped": [{"task": task, "reason": reason} for task, reason in self.skipped],
            "would": [each.id for each in self.would],
            "faults": [each.document() for each in self.faults],
            "waiting": self.waiting,
        }


def delegate(repo: Repository, options: Options, tell: Tell) -> Delegated:
    """Give ready tasks to agents until enough were begun, or none is ready any more.

    Args:
        repo: the repository; no worktree of a person is touched.
        options: what is asked for.
        tell: progress.

    Raises:
        PlannerError: E_USAGE for a sandbox that the agent cannot be held in; E_TRANSITION, E_BUSY, E_MERGE
            for a named task that cannot be begun; E_INTERRUPTED; what an agent raises that no task is to
            blame for, with all tasks put back.
    """
    repo.ident()
    plan = current_plan(repo, options.plan)
    base = find_base(repo, plan, options.start)
    terms = _terms(repo, options, base.policy)
    afar = RemoteClaims(repo, plan, options.remote, tell) if options.remote else None
    if options.dry_run:
        return _rehearsed(repo, plan, options)
    if afar is not None:
        afar.share()
    recovered = [*recover(repo, plan, tell), *(_from_afar(repo, afar) if afar else [])]
    found = read_tasks(repo, plan)
    faults = _faults(found)
    if faults:
        return Delegated(plan, recovered=tuple(recovered), faults=faults)
    done = _Delegation(Carrier(repo, terms, tell), options, plan, afar).run()
    return replace(done, recovered=tuple(recovered))


def confined(implementer: Implementer, options: Options) -> Sandbox | None:
    """The sandbox that an agent will be held in; None when it is not ours to confine.

    Raises:
        PlannerError: E_USAGE for what the agent cannot honour, and for danger that nobody has allowed.
    """
    name, wanted = implementer.name, options.sandbox
    if options.approval != "never":
        raise PlannerError(
            "E_USAGE",
            f"'{name}' cannot ask for approval ('{options.approval}'): nobody is there to give it",
            hint="leave '--approval' out, or give '--approval never'",
        )
    if wanted is not None and wanted not in implementer.sandboxes:
        known = ", ".join(implementer.sandboxes) or "none: it is not ours to confine"
        raise PlannerError(
            "E_USAGE",
            f"'{name}' cannot be held in the sandbox '{wanted}'",
            hint=f"leave '--sandbox' out; sandboxes of '{name}': {known}",
        )
    if (wanted == "danger-full-access") != options.allow_danger:
        raise PlannerError(
            "E_USAGE",
            "'--sandbox danger-full-access' and '--allow-danger' go together, each time",
            hint="leave both out to keep the agent in its sandbox",
        )
    return wanted or next(iter(implementer.sandboxes), None)


def _terms(repo: Repository, options: Options, policy: Policy) -> Terms:
    settings = read_settings(
        repo,
        policy=policy,
        plan=options.plan,
        implementer=options.implementer,
        implementer_model=options.model,
        implementer_effort=options.effort,
        implementer_timeout=options.seconds,
    )
    implementer = registry.implementer(settings.implementer, policy, settings)
    return Terms(
        settings=settings,
        implementer=implementer,
        sandbox=confined(implementer, options),
        approval=options.approval,
        seconds=settings.implementer_timeout,
        start=options.start,
        remote=options.remote,
    )


def _faults(found: Tasks) -> tuple[LintFault, ...]:
    faults = lint.lint_tasks([each.document() for each in found.tasks])
    return tuple(each for each in faults if each.severity == "error")


def _rehearsed(repo: Repository, plan: str, options: Options) -> Delegated:
    found = read_tasks(repo, plan)
    free = readiness.ready_tasks(found.tasks, held(repo, plan))
    if options.task is not None:
        wanted = found.task(options.task)
        free = [each for each in free if each.id == wanted.id]
    chosen = readiness.pick_parallel(free, options.most)
    return Delegated(plan, would=tuple(chosen), faults=_faults(found), waiting=len(free) - len(chosen))


def _from_afar(repo: Repository, afar: RemoteClaims) -> list[Run]:
    """Put back what delegators elsewhere will not finish; tell the remote what is not known there yet."""
    found = read_tasks(repo, afar.plan)
    for task, run in afar.lapsed(found):
        put_back(repo, afar.plan, task, run, "its delegator, on another machine, is no more")
    open_ones = [each for each in store.list_runs(repo, afar.plan) if each.claim and each.ended_at]
    return [afar.finish(each) for each in open_ones if each.remote == afar.where]


class _Delegation:
    """One delegator at work. Only the agents run side by side; all else is done by one thread at a time."""

    def __init__(self, carrier: Carrier, options: Options, plan: str, afar: RemoteClaims | None) -> None:
        self.repo, self.terms, self.tell = carrier.repo, carrier.terms, carrier.tell
        self.stop, self.lock = carrier.stop, carrier.lock
        self.carrier, self.options, self.plan, self.afar = carrier, options, plan, afar
        self.number: int | None = None
        self.begun = 0
        self.done: list[Run] = []
        self.skipped: dict[str, str] = {}
        self.failure: PlannerError | None = None
        self.interrupted = self.raced = False

    def run(self) -> Delegated:
        """Begin, wait, begin more, until nothing is left to begin."""
        agents: set[Future[Run]] = set()
        with _listening(self.stop), ThreadPoolExecutor(self.options.parallel) as pool:
            try:
                while self._more(pool, agents) or agents:
                    ready, agents = wait(agents, timeout=0.2, return_when=FIRST_COMPLETED)
                    for each in ready:
                        self._take(each)
            finally:
                # Whatever went wrong, no agent is left without its delegator.
                self.stop.set()
        if self.failure is not None:
            raise self.failure
        if self.interrupted or any(each.outcome == "interrupted" for each in self.done):
            raise PlannerError(
                "E_INTERRUPTED",
                "interrupted; the agents were ended, and what they had not finished was put back",
                hint="git plan delegate",
            )
        return Delegated(self.plan, tuple(self.done), skipped=tuple(self.skipped.items()))

    def _more(self, pool: ThreadPoolExecutor, agents: set[Future[Run]]) -> bool:
        """Begin as many tasks as there is room for; False when nothing more is to be begun."""
        most = 1 if self.options.task is not None else self.options.most
        while len(agents) < self.options.parallel:
            if self.stop.is_set():
                self.interrupted = True
                return False
            if self.begun >= most or self.failure is not None:
                return False
            with self.lock:
                begun = self._begin()
            if begun is None:
                return False
            self.begun += 1
            agents.add(pool.submit(self._carry, begun))
        return True

    def _carry(self, begun: Begun) -> Run:
        run = self.carrier.carry(begun)
        with self.lock:
            return self.afar.finish(run) if self.afar else run

    def _take(self, ended: Future[Run]) -> None:
        try:
            run = ended.result()
        except PlannerError as error:
            self.failure = self.failure or error
            self.stop.set()
        else:
            self.done.append(run)
            self.tell(f"{run.task}: {run.outcome}{f', {run.reason}' if run.reason else ''}")

    def _begin(self) -> Begun | None:
        """Begin the first task that can be; None when none can."""
        while not self.stop.is_set():
            found = read_tasks(self.repo, self.plan)
            task = self._next(found)
            if task is None:
                return None
            try:
                begun = self._claimed(found, task)
            except PlannerError as error:
                if self.options.task is not None:
                    raise
                if error.code in _UNFIT:
                    self.skipped[task.id] = error.message
                    self.tell(f"{task.id}: skipped, {error.message}")
                    continue
                if error.code not in _RACED:
                    raise
                begun = None
            if begun is not None:
                self.number = None
                return begun
            self.raced = True
        return None

    def _next(self, found: Tasks) -> Task | None:
        if self.options.task is not None:
            return found.task(self.options.task)
        claimed = held(self.repo, self.plan) | (self.afar.held() if self.afar else frozenset())
        free = readiness.ready_tasks(found.tasks, claimed)
        left = [each for each in free if each.id not in self.skipped]
        if not left:
            return None
        # Many delegators that all want the first task get in each other's way once for each task there is.
        return random.choice(left) if self.raced else left[0]

    def _claimed(self, found: Tasks, task: Task) -> Begun | None:
        named = self.options.task is not None
        if named:
            # What is not chosen from the ready ones may be anything, and a refusal takes no number.
            check_free(self.repo, found, task)
            if self.afar is not None and task.id in self.afar.held():
                raise _claimed_afar(task, self.afar)
        wish = intent(self.repo, found, task, self.terms, self._reserved)
        if self.afar is None:
            return begin(self.repo, wish, self.terms)
        won = self.afar.win(wish.claim())
        if won is None:
            if named:
                raise _claimed_afar(task, self.afar)
            return None
        try:
            return begin(self.repo, wish, self.terms, won)
        except PlannerError:
            self.afar.give_back(task.id, won[1])
            raise

    def _reserved(self) -> int:
        """A number for the next iteration; one that was not needed is used by the next task."""
        if self.number is None:
            self.number = reserve_number(self.repo)
        return self.number


def _claimed_afar(task: Task, afar: RemoteClaims) -> PlannerError:
    return PlannerError("E_BUSY", f"'{task.id}' is claimed on '{afar.where}'", hint="git plan task ready")


@contextmanager
def _listening(stop: threading.Event) -> Iterator[None]:
    """While open, Ctrl-C and its like ask the delegator to stop instead of breaking into it at any line."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    wanted = [each for each in numbers if signal.getsignal(each) not in (signal.SIG_IGN, None)]
    old = {each: signal.signal(each, lambda *_: stop.set()) for each in wanted}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
