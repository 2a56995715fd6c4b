"""Suspend the run of a session and resume it: in between it keeps its claim and its worktree."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from git_planner.errors import PlannerError
from git_planner.flows.runs import store
from git_planner.flows.runs.store import Run
from git_planner.flows.tasks.claim_refs import Claim, claimed_task_error, read_claim
from git_planner.flows.tasks.claims import rewrite_claim
from git_planner.flows.tasks.edit import tasks_in
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot, Step, Store
from git_planner.host import process_identity
from git_planner.host.clock import utc_now
from git_planner.rules import refnames
from git_planner.rules.timestamps import add_seconds

# Seconds that the claim of a suspended run lasts: thirty days.
SUSPENDED_SECONDS = 30 * 86400.0
ClaimChange = Callable[[Claim], Claim]


def suspend_run(repo: Repository, run: Run, thread: str | None = None) -> Run:
    """Keep the claim of a run without a process, so that nobody else takes its task. Can be repeated.

    Args:
        repo: the repository.
        run: the run; all processes of its agent have ended.
        thread: the client's id of its thread, if it is known.

    Returns:
        The run as saved. When its claim has gone to somebody else, it is not suspended.
    """
    expires_at = add_seconds(utc_now(), SUSPENDED_SECONDS)
    held = _change_claim(repo, run, lambda claim: claim._replace(process=None, expires_at=expires_at))
    if not held:
        return run
    return store.save_run(
        repo, replace(run, process=None, suspended_at=utc_now(), thread=thread or run.thread)
    )


def adopt_run(repo: Repository, run: Run, grace: float) -> Run:
    """Take over a suspended run: this process holds its claim from now on.

    Args:
        repo: the repository.
        run: the run.
        grace: seconds that the claim outlives the run's deadline.

    Raises:
        PlannerError: E_BUSY when somebody else has claimed the task; E_TRANSITION when it was moved.
    """
    identity = process_identity.identity(os.getpid())
    expires_at = add_seconds(utc_now(), run.seconds + grace)
    if not _change_claim(repo, run, lambda claim: claim._replace(process=identity, expires_at=expires_at)):
        raise PlannerError(
            "E_TRANSITION",
            f"'{run.task}' was moved while its session was suspended; its worktree is kept",
            hint=f"see 'git plan task show {run.task} --plan {run.plan}'",
            details=[f"worktree: {run.worktree}"] if run.worktree else [],
        )
    # Its claim is what counts: an end that was noted beside it is none.
    return store.save_run(
        repo,
        replace(run, process=identity, suspended_at=None, ended_at=None, outcome=None, reason=None),
    )


def _change_claim(repo: Repository, run: Run, change: ClaimChange) -> bool:
    """Change the claim of a run in one transaction; False when the run does not hold its task any more.

    Raises:
        PlannerError: E_BUSY when another run or person holds the task.
    """
    ref, claim_ref = refnames.plan_ref(run.plan), refnames.claim_ref(run.plan, run.task)
    held: list[bool] = []

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        task = tasks_in(repo, snapshots[ref], run.plan).task(run.task)
        claim = read_claim(snapshots[claim_ref])
        is_ours = claim is not None and (claim.run, claim.uid) == (run.run, run.uid)
        if claim is not None and not is_ours and claim.in_force():
            raise claimed_task_error(claim)
        is_current = (task.uid, task.run, task.attempt) == (run.uid, run.run, run.attempt)
        held[:] = [is_ours and is_current and task.status == "in_progress"]
        return [rewrite_claim(change(claim))] if held[0] and claim is not None else []

    Store(repo).transact([ref, claim_ref], decide)
    return held[0]
