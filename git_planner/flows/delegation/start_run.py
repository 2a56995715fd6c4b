"""Start a delegated task: choose its base, then create its claim, branch and run in one transaction."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from git_planner import documents
from git_planner.agents.contract import Implementer, Sandbox
from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.flows.approval.approval import require
from git_planner.flows.planning.iteration_start import state_commit
from git_planner.flows.plans.base_commit import Base, find_base
from git_planner.flows.runs import store
from git_planner.flows.runs.store import Run
from git_planner.flows.tasks.claim_refs import Claim
from git_planner.flows.tasks.claims import Claimant, ClaimExtension, claim_task, new_claim
from git_planner.flows.tasks.edit import PlanTasks
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Move, Snapshot, Step
from git_planner.host import process_identity
from git_planner.host.clock import utc_now
from git_planner.host.machine import host_name
from git_planner.rules import refnames
from git_planner.rules.approval.subject import plan_subject, task_digest
from git_planner.rules.delegation.task_prompt import task_directive
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning.directive import TASK_PLANNER, IterationState
from git_planner.rules.tasks import transitions
from git_planner.rules.tasks.task import Task
from git_planner.rules.timestamps import add_seconds

# Seconds that a claim outlives its run's deadline; other machines can check the time only.
CLAIM_GRACE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class AgentSetup:
    """Agent, sandbox and limits that all runs of one `delegate` share.

    `start` names the commit that tasks start from, None for the default base. `sandbox` is None when the
    agent has no sandbox that can be chosen. A session brings its name, the id of its run, and
    what its agent may write to besides its worktree.
    """

    settings: Settings
    implementer: Implementer
    sandbox: Sandbox | None
    approval: str
    seconds: float
    start: str | None = None
    remote: str | None = None
    run: str | None = None
    session: str | None = None
    writable: tuple[Path, ...] = ()

    @property
    def danger(self) -> bool:
        """True if the agent was asked to run without a sandbox."""
        return self.sandbox == "danger-full-access"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run about to start: its task as read, base, iteration number and claimant."""

    plan: str
    task: Task
    base: Base
    number: int
    claimant: Claimant

    @property
    def iteration(self) -> refnames.IterationName:
        """The iteration, with a branch name unique to this attempt at this task."""
        again = f" {self.attempt}" if self.attempt > 1 else ""
        return refnames.IterationName(self.number, refnames.slug(f"{self.task.id}{again} {self.task.title}"))

    @property
    def attempt(self) -> int:
        """The number of the attempt that starts: the attempt of a lapsed claim is over."""
        return self.task.attempt + (self.task.status == "in_progress")

    def claim(self) -> Claim:
        """Return the claim that the run needs."""
        task = self.task
        if task.status == "in_progress":
            task = transitions.requeue_task(task)
        return new_claim(task, self.plan, self.claimant, refnames.random_token(20))


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A started run: its task as claimed, its run, its iteration's state and its base."""

    task: Task
    run: Run
    state: IterationState
    base: Base


def find_task_base(repo: Repository, plan_tasks: PlanTasks, task: Task, start: str | None) -> Base:
    """Find the commit that a task's work starts from.

    Args:
        repo: the repository.
        plan_tasks: the plan.
        task: the task.
        start: a branch, tag or commit (default: the newest commit of its dependencies, else the base branch).

    Raises:
        PlannerError: E_MERGE when the dependencies are on diverged branches; E_NO_BASE when a commit of
            theirs is missing; what `find_base` raises.
    """
    if start is not None:
        return find_base(repo, plan_tasks.plan, start)
    default_base = find_base(repo, plan_tasks.plan, None)
    tips: dict[str, str] = {}
    for dependency in map(plan_tasks.task, task.dependencies):
        if not dependency.commits:
            continue
        tip = dependency.commits[-1]
        if not history.is_complete(repo.git, tip):
            raise PlannerError(
                "E_NO_BASE",
                f"'{task.id}' depends on '{dependency.id}', whose commit '{tip[:12]}' is missing",
                hint="fetch it, or name a start with '--from REF'",
            )
        if not history.is_ancestor(repo.git, tip, default_base.oid):
            tips[tip] = dependency.id
    if not tips:
        return default_base
    newest = [tip for tip in tips if all(history.is_ancestor(repo.git, other_tip, tip) for other_tip in tips)]
    if not newest:
        raise PlannerError(
            "E_MERGE",
            f"'{task.id}' depends on tasks on diverged branches",
            hint="merge them, and name the result with 'git plan delegate --from REF'",
            details=[f"{name}: {tip[:12]}" for tip, name in tips.items()],
        )
    return find_base(repo, plan_tasks.plan, newest[0])


def prepare_run(
    repo: Repository,
    plan_tasks: PlanTasks,
    task: Task,
    setup: AgentSetup,
    reserve: Callable[[], int],
    *,
    ask: bool = True,
) -> RunRequest:
    """Prepare the run of a task.

    Args:
        ask: ask the remote for an approval that is not known here.
        reserve: reserves a number for its iteration; called last, since numbers are never reused.

    Raises:
        PlannerError: as `find_task_base`; E_REVIEW if the task needs an approval and has none.
    """
    base, now = find_task_base(repo, plan_tasks, task, setup.start), repo.now()
    subject = plan_subject(plan_tasks.plan, {task.uid: task_digest(task)}, name=task.id)
    require(repo, base.policy, subject, lambda _: None, ask=ask)
    claimant = Claimant(
        owner=f"{setup.implementer.name} for {repo.ident()}"[:200],
        claimed_at=now,
        expires_at=add_seconds(utc_now(), setup.seconds + CLAIM_GRACE_SECONDS),
        process=process_identity.identity(os.getpid()),
        run=setup.run or refnames.new_id(now),
        base=base.oid,
    )
    return RunRequest(plan_tasks.plan, task, base, reserve(), claimant)


def start_run(
    repo: Repository, request: RunRequest, setup: AgentSetup, remote_claim: tuple[Claim, str] | None = None
) -> StartedRun:
    """Claim a task and create its branch in one transaction; then create the folder of its run.

    Args:
        repo: the repository.
        request: the run to start.
        setup: agent, sandbox and limits.
        remote_claim: the claim acquired on a remote, with its commit.

    Raises:
        PlannerError: E_BUSY, E_TRANSITION, E_CONFLICT when another process was faster; then nothing is
            changed.
    """
    iteration, claimant = request.iteration, replace(request.claimant, branch=request.iteration.branch)
    trusted_ref = f"{refnames.ITERATIONS}{request.number:04d}"
    states: list[tuple[IterationState, str]] = []

    def steps(snapshots: Mapping[str, Snapshot], task: Task) -> Sequence[Step]:
        for ref in (iteration.ref, trusted_ref):
            if snapshots[ref].tip is not None:
                raise PlannerError("E_CONFLICT", f"'{ref}' exists already", hint="run the command again")
        if task_digest(task) != task_digest(request.task):
            # What was approved is not what would run.
            raise PlannerError(
                "E_CONFLICT", f"'{task.id}' was changed meanwhile", hint="run the command again"
            )
        state = _new_state(request, task)
        documents.check("state", state.document(), refnames.STATE_FILE)
        commit = state_commit(repo, state)
        states[:] = [(state, commit)]
        return [Move(iteration.ref, commit), Move(trusted_ref, commit)]

    extension = ClaimExtension((iteration.ref, trusted_ref), steps, remote_claim)
    task, _ = claim_task(repo, request.plan, request.task.id, claimant, extension)
    state, commit = states[0]
    run = _new_run(request, task, setup, state)
    remote = setup.remote if remote_claim else None
    saved_run = store.save_run(
        repo, replace(run, start=commit, remote=remote, claim=remote_claim[1] if remote_claim else None)
    )
    return StartedRun(task, saved_run, state, request.base)


def _new_state(request: RunRequest, task: Task) -> IterationState:
    directive = task_directive(task)
    return IterationState(
        plan=request.plan,
        iteration=request.number,
        slug=request.iteration.slug,
        branch=request.iteration.branch,
        base=request.base.oid,
        base_ref=request.base.ref,
        goal="best",
        threshold=None,
        packet=canonical_json.digest(task.document()),
        directive=directive,
        directive_digest=canonical_json.digest(directive.document()),
        planner={"name": TASK_PLANNER, "model": None, "attempts": 0, "seconds": 0},
        created_at=request.claimant.claimed_at,
    )


def _new_run(request: RunRequest, task: Task, setup: AgentSetup, state: IterationState) -> Run:
    assert request.claimant.run is not None
    return Run(
        run=request.claimant.run,
        plan=request.plan,
        task=task.id,
        uid=task.uid,
        attempt=task.attempt,
        iteration=state.iteration,
        base=state.base,
        branch=state.branch,
        start=state.base,
        host=host_name(),
        process=request.claimant.process,
        agent=setup.implementer.name,
        model=setup.settings.implementer_model,
        sandbox=setup.sandbox,
        approval=setup.approval,
        danger=setup.danger,
        reports=setup.implementer.reports and setup.sandbox != "read-only",
        interval=setup.settings.heartbeat,
        seconds=setup.seconds,
        started_at=request.claimant.claimed_at,
        confined_by=setup.implementer.confined_by,
        session=setup.session,
    )
