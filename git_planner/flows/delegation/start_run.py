"""Beginning a delegated task: its base, and its claim, branch and run in one transaction."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from git_planner import documents
from git_planner.agents.contract import Implementer, Sandbox
from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.flows.iterations.list_iterations import TASK_PLANNER
from git_planner.flows.planning.ask_planner import state_commit
from git_planner.flows.plans.base_commit import Base, find_base
from git_planner.flows.runs import store
from git_planner.flows.runs.store import Run
from git_planner.flows.tasks.claims import Begin, Claim, Claimant, claim_of, claim_task
from git_planner.flows.tasks.edit import Tasks
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Move, Snapshot, Step
from git_planner.host import process_identity
from git_planner.host.clock import utc_now
from git_planner.host.machine import host_name
from git_planner.rules import refnames
from git_planner.rules.delegation.task_prompt import task_directive
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning.directive import IterationState
from git_planner.rules.tasks import transitions
from git_planner.rules.tasks.task import Task
from git_planner.rules.timestamps import add_seconds

# Seconds that a claim outlives its run's deadline, for whoever can only see the time.
SLACK = 3600.0


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms tasks are delegated: the same for all runs of one `delegate`.

    `start` names where they start from, None for the usual base. `sandbox` None: not ours to confine.
    """

    settings: Settings
    implementer: Implementer
    sandbox: Sandbox | None
    approval: str
    seconds: float
    start: str | None = None
    remote: str | None = None

    @property
    def danger(self) -> bool:
        """Whether nothing confines the agent, because somebody said so."""
        return self.sandbox == "danger-full-access"


@dataclass(frozen=True, slots=True)
class Intent:
    """What is about to be begun: a task as it was read, its base, its number and its claimant."""

    plan: str
    task: Task
    base: Base
    number: int
    who: Claimant

    @property
    def iteration(self) -> refnames.Iteration:
        """The name of its branch: unlike that of every other attempt at every other task."""
        again = f" {self.attempt}" if self.attempt > 1 else ""
        return refnames.Iteration(self.number, refnames.slug(f"{self.task.id}{again} {self.task.title}"))

    @property
    def attempt(self) -> int:
        """The attempt that begins: that of a lapsed claim is over."""
        return self.task.attempt + (self.task.status == "in_progress")

    def claim(self) -> Claim:
        """Its claim, before it is won."""
        task = self.task
        if task.status == "in_progress":
            task = transitions.requeue_task(task)
        return claim_of(task, self.plan, self.who, refnames.random_token(20))


@dataclass(frozen=True, slots=True)
class Begun:
    """A task that is ours now: as it was claimed, its run, its iteration's state, and its base."""

    task: Task
    run: Run
    state: IterationState
    base: Base


def base_of(repo: Repository, found: Tasks, task: Task, start: str | None) -> Base:
    """The commit that a task's work starts from.

    Args:
        repo: the repository.
        found: the plan.
        task: the task.
        start: a branch, tag or commit; else the newest of what it depends on, else the usual base.

    Raises:
        PlannerError: E_MERGE when what it depends on went different ways; E_NO_BASE when a commit of that is
            not here; what `find_base` raises.
    """
    if start is not None:
        return find_base(repo, found.plan, start)
    usual = find_base(repo, found.plan, None)
    tips: dict[str, str] = {}
    for other in map(found.task, task.dependencies):
        if not other.commits:
            continue
        tip = other.commits[-1]
        if not history.whole(repo.git, tip):
            raise PlannerError(
                "E_NO_BASE",
                f"'{task.id}' builds on '{other.id}', whose commit '{tip[:12]}' is not here",
                hint="fetch it, or name a start with '--from REF'",
            )
        if not history.is_ancestor(repo.git, tip, usual.oid):
            tips[tip] = other.id
    if not tips:
        return usual
    newest = [tip for tip in tips if all(history.is_ancestor(repo.git, each, tip) for each in tips)]
    if not newest:
        raise PlannerError(
            "E_MERGE",
            f"'{task.id}' builds on tasks whose branches have not been merged",
            hint="merge them, and name the result with 'git plan delegate --from REF'",
            details=[f"{name}: {tip[:12]}" for tip, name in tips.items()],
        )
    return find_base(repo, found.plan, newest[0])


def intent(repo: Repository, found: Tasks, task: Task, terms: Terms, number: Callable[[], int]) -> Intent:
    """What it takes to begin a task.

    Args:
        number: reserves a number for its iteration; asked last, since no number is free again.

    Raises:
        PlannerError: as `base_of`.
    """
    base, now = base_of(repo, found, task, terms.start), repo.now()
    who = Claimant(
        owner=f"{terms.implementer.name} for {repo.ident()}"[:200],
        claimed_at=now,
        expires_at=add_seconds(utc_now(), terms.seconds + SLACK),
        process=process_identity.identity(os.getpid()),
        run=refnames.new_id(now),
        base=base.oid,
    )
    return Intent(found.plan, task, base, number(), who)


def begin(repo: Repository, wish: Intent, terms: Terms, won: tuple[Claim, str] | None = None) -> Begun:
    """Claim a task, and make the branch of its work, in one transaction; then the folder of its run.

    Args:
        repo: the repository.
        wish: what is to be begun.
        terms: how.
        won: the claim as it was won on a remote, with its commit.

    Raises:
        PlannerError: E_BUSY, E_TRANSITION, E_CONFLICT when somebody was faster; then nothing was changed.
    """
    iteration, who = wish.iteration, replace(wish.who, branch=wish.iteration.branch)
    trusted = f"{refnames.ITERATIONS}{wish.number:04d}"
    made: list[tuple[IterationState, str]] = []

    def steps(seen: Mapping[str, Snapshot], task: Task) -> Sequence[Step]:
        for ref in (iteration.ref, trusted):
            if seen[ref].tip is not None:
                raise PlannerError("E_CONFLICT", f"'{ref}' exists already", hint="run the command again")
        state = _state(wish, task)
        documents.check("state", state.document(), refnames.STATE_FILE)
        commit = state_commit(repo, state)
        made[:] = [(state, commit)]
        return [Move(iteration.ref, commit), Move(trusted, commit)]

    more = Begin((iteration.ref, trusted), steps, won)
    task, _ = claim_task(repo, wish.plan, wish.task.id, who, more)
    state, commit = made[0]
    run = _run(wish, task, terms, state)
    remote = terms.remote if won else None
    kept = store.save_run(repo, replace(run, start=commit, remote=remote, claim=won[1] if won else None))
    return Begun(task, kept, state, wish.base)


def _state(wish: Intent, task: Task) -> IterationState:
    directive = task_directive(task)
    return IterationState(
        plan=wish.plan,
        iteration=wish.number,
        slug=wish.iteration.slug,
        branch=wish.iteration.branch,
        base=wish.base.oid,
        base_ref=wish.base.ref,
        goal="best",
        threshold=None,
        packet=canonical_json.digest(task.document()),
        directive=directive,
        directive_digest=canonical_json.digest(directive.document()),
        planner={"name": TASK_PLANNER, "model": None, "attempts": 0, "seconds": 0},
        created_at=wish.who.claimed_at,
    )


def _run(wish: Intent, task: Task, terms: Terms, state: IterationState) -> Run:
    assert wish.who.run is not None
    return Run(
        run=wish.who.run,
        plan=wish.plan,
        task=task.id,
        uid=task.uid,
        attempt=task.attempt,
        iteration=state.iteration,
        base=state.base,
        branch=state.branch,
        start=state.base,
        host=host_name(),
        process=wish.who.process,
        agent=terms.implementer.name,
        model=terms.settings.implementer_model,
        sandbox=terms.sandbox,
        approval=terms.approval,
        danger=terms.danger,
        reports=terms.implementer.reports and terms.sandbox != "read-only",
        interval=terms.settings.heartbeat,
        seconds=terms.seconds,
        started_at=wish.who.claimed_at,
    )
