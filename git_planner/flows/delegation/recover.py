"""Recover the runs of dead delegators: end their agents, apply valid results, put tasks back.

Only lapsed claims of runs are considered, never claims of people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_planner.errors import PlannerError
from git_planner.flows.delegation import agent_result
from git_planner.flows.delegation.finish_run import finish_run
from git_planner.flows.delegation.suspend_run import suspend_run
from git_planner.flows.iterations import process_lock
from git_planner.flows.plans.page_store import Pages
from git_planner.flows.runs import store
from git_planner.flows.runs.heartbeat import has_fresh_heartbeat
from git_planner.flows.runs.inspect import agent_thread
from git_planner.flows.runs.recover import abandoned_runs, abandonment_cause, end_leftover_agent
from git_planner.flows.runs.store import Run
from git_planner.flows.tasks.claim_refs import Claim, read_claim, read_claims
from git_planner.flows.tasks.edit import read_tasks, task_message, task_of
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Delete, Snapshot, Step, Store, Write
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.delegation.outcome import RunEnding
from git_planner.rules.plans import pages
from git_planner.rules.tasks import transitions
from git_planner.rules.tasks.task import task_number


def recover_runs(repo: Repository, plan: str, progress: Progress) -> tuple[Run, ...]:
    """Finish the runs of dead delegators. Can be interrupted anywhere and repeated.

    Args:
        repo: the repository.
        plan: the plan's name.
        progress: called with each progress message.

    Returns:
        The finished runs.

    Raises:
        PlannerError: what `finish_run` raises.
    """
    recovered_runs: list[Run] = []
    for claim in read_claims(repo, plan).values():
        if claim.run is None or claim.in_force():
            continue
        run = store.load_run(store.run_folder(repo, claim.run)) if store.is_run_id(claim.run) else None
        if run is None:
            if requeue_task(repo, plan, claim.task, claim.run, "its delegator died before the run started"):
                progress(f"{claim.task}: put back, its delegator died before the run started")
            continue
        if run.is_remote and has_fresh_heartbeat(repo, run):
            # Its delegator cannot be seen, and is late; it lives.
            continue
        recovered_runs += _recover_claimed(repo, claim, run, progress)
    # A run with a claim is suspended, or its delegator has died just now: the next call recovers it.
    claimed = {claim.run for claim in read_claims(repo, plan).values()}
    for run in abandoned_runs(repo, plan):
        if run.run not in claimed:
            recovered_runs += _recover_unclaimed(repo, run, progress)
    return tuple(recovered_runs)


def requeue_task(repo: Repository, plan: str, task_id: str, run_id: str, reason: str) -> bool:
    """Put back the task of a run that no longer exists, and delete its claim.

    Returns:
        True if the task was put back; False if it has been moved since.
    """
    ref, claim_ref, page_store = refnames.plan_ref(plan), refnames.claim_ref(plan, task_id), Pages(repo, plan)
    edits: dict[str, bytes | None] = {}

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        edits.clear()
        plan_pages = page_store.read(snapshots[ref], pages.page_name(task_number(task_id)))
        task = task_of(plan_pages, plan, task_id, repo)
        if task.run == run_id and task.status == "in_progress":
            edits.update(page_store.task_edits(plan_pages, [transitions.requeue_task(task, reason)]))
        claim = read_claim(snapshots[claim_ref])
        steps: list[Step] = [Write(ref, edits, task_message(plan, task_id, "recover"), masked=True)]
        return [*steps, Delete(claim_ref)] if claim is not None and claim.run == run_id else steps

    Store(repo).transact([ref, claim_ref], decide)
    page_store.mark_valid(edits)
    return bool(edits)


def _recover_claimed(repo: Repository, claim: Claim, run: Run, progress: Progress) -> list[Run]:
    try:
        with process_lock.lock_iteration(repo, run.iteration):
            current = store.load_run(store.run_folder(repo, run.run))
            if current is None or current.ended_at is not None:
                return []
            end_leftover_agent(repo, current, progress)
            if current.session is not None and agent_result.read_result(repo, current) == (None, None):
                progress(f"{claim.task}: suspended, since the process of its session died")
                return [suspend_run(repo, current, agent_thread(repo, current))]
            task = read_tasks(repo, run.plan).task(run.task)
            finished = finish_run(repo, current, task, RunEnding("lost", abandonment_cause(current)))
    except PlannerError as error:
        if error.code != "E_BUSY":
            raise
        return []
    progress(f"{claim.task}: {finished.outcome}, from run {run.run} of a dead delegator")
    return [finished]


def _recover_unclaimed(repo: Repository, run: Run, progress: Progress) -> list[Run]:
    """Save the end of a run without a claim: only its folder was left to update, or its task was moved."""
    try:
        with process_lock.lock_iteration(repo, run.iteration):
            current = store.load_run(store.run_folder(repo, run.run))
            if current is None or current.ended_at is not None or current.delegator != "gone":
                return []
            end_leftover_agent(repo, run, progress)
            task = read_tasks(repo, run.plan).task(run.task)
            is_own = (task.run, task.attempt) == (run.run, run.attempt)
            return [
                store.save_end(
                    repo, run, outcome=task.status if is_own else "stale", reason=abandonment_cause(run)
                )
            ]
    except PlannerError as error:
        if error.code not in ("E_BUSY", "E_UNKNOWN_TASK", "E_NO_PLAN"):
            raise
        return []
