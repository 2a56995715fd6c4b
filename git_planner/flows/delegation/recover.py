"""What dead delegators left: their agents are ended, results that still count are applied, tasks put back.

Only claims of runs are looked at, and only those that are not in force; a person's claim is a person's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_planner.agents.contract import Tell
from git_planner.errors import PlannerError
from git_planner.flows.delegation.finish_run import Ending, conclude
from git_planner.flows.iterations import process_lock
from git_planner.flows.plans.page_store import Pages
from git_planner.flows.runs import store
from git_planner.flows.runs.recover import abandoned_runs, abandonment_cause, end_leftover_agent
from git_planner.flows.runs.store import Run
from git_planner.flows.tasks.claim_refs import Claim, claim_on, claims
from git_planner.flows.tasks.edit import message, read_tasks, task_of
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Delete, Snapshot, Step, Store, Write
from git_planner.rules import refnames
from git_planner.rules.plans import pages
from git_planner.rules.tasks import transitions
from git_planner.rules.tasks.task import task_number


def recover(repo: Repository, plan: str, tell: Tell) -> tuple[Run, ...]:
    """Bring the tasks of dead delegators to an end. Can be interrupted anywhere, and done again.

    Args:
        repo: the repository.
        plan: the plan's name.
        tell: progress.

    Returns:
        The runs that were brought to an end.

    Raises:
        PlannerError: what `conclude` raises.
    """
    done: list[Run] = []
    for claim in claims(repo, plan).values():
        if claim.run is None or claim.in_force():
            continue
        run = store.load_run(store.run_folder(repo, claim.run)) if store.is_run_id(claim.run) else None
        if run is None:
            if put_back(repo, plan, claim.task, claim.run, "its delegator died before it began"):
                tell(f"{claim.task}: put back, its delegator died before it began")
            continue
        done += _recovered(repo, claim, run, tell)
    for run in abandoned_runs(repo, plan):
        done += _forgotten(repo, run, tell)
    return tuple(done)


def put_back(repo: Repository, plan: str, task_id: str, run_id: str, reason: str) -> bool:
    """Put a task back that a run which is no more has begun, and end its claim.

    Returns:
        Whether it was; False when the task has been moved since.
    """
    ref, claim_ref, own = refnames.plan_ref(plan), refnames.claim_ref(plan, task_id), Pages(repo, plan)
    edits: dict[str, bytes | None] = {}

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        edits.clear()
        found = own.read(seen[ref], pages.page_name(task_number(task_id)))
        task = task_of(found, plan, task_id)
        if task.run == run_id and task.status == "in_progress":
            edits.update(own.with_tasks(found, [transitions.requeue_task(task, reason)]))
        claim = claim_on(seen[claim_ref])
        steps: list[Step] = [Write(ref, edits, message(plan, task_id, "recover"))]
        return [*steps, Delete(claim_ref)] if claim is not None and claim.run == run_id else steps

    Store(repo).transact([ref, claim_ref], decide)
    own.accepted(edits)
    return bool(edits)


def _recovered(repo: Repository, claim: Claim, run: Run, tell: Tell) -> list[Run]:
    try:
        with process_lock.lock_iteration(repo, run.iteration):
            now = store.load_run(store.run_folder(repo, run.run))
            if now is None or now.ended_at is not None:
                return []
            end_leftover_agent(repo, now, tell)
            task = read_tasks(repo, run.plan).task(run.task)
            done = conclude(repo, now, task, Ending("lost", abandonment_cause(now)))
    except PlannerError as error:
        if error.code != "E_BUSY":
            raise
        return []
    tell(f"{claim.task}: {done.outcome}, from run {run.run} of a delegator that is no more")
    return [done]


def _forgotten(repo: Repository, run: Run, tell: Tell) -> list[Run]:
    """A run without a claim: it was brought to its end but for its own folder, or the task was moved on."""
    try:
        with process_lock.lock_iteration(repo, run.iteration):
            end_leftover_agent(repo, run, tell)
            task = read_tasks(repo, run.plan).task(run.task)
            own = (task.run, task.attempt) == (run.run, run.attempt)
            return [
                store.save_end(
                    repo, run, outcome=task.status if own else "stale", reason=abandonment_cause(run)
                )
            ]
    except PlannerError as error:
        if error.code not in ("E_BUSY", "E_UNKNOWN_TASK", "E_NO_PLAN"):
            raise
        return []
