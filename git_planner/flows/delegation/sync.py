"""`git plan sync`: recompute task statuses from commits, trailers, records and runs. Idempotent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from git_planner.config.policy_file import policy_at
from git_planner.flows.delegation.recover import recover_runs
from git_planner.flows.plans.current_plan import needed_plan
from git_planner.flows.plans.plan_document import plan_edits, read_plan_at
from git_planner.flows.records.ledger import LedgerReader, find_record
from git_planner.flows.tasks.edit import task_message
from git_planner.flows.tasks.follow_branch import AdvanceResult, EvidenceSource, advance_plan
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Edits, Snapshot, Store
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.plans.merge_plan import merge_duplicates
from git_planner.rules.tasks.follow_history import History
from git_planner.rules.tasks.task import Task, TaskEvidence, VerifyRun


@dataclass(frozen=True, slots=True)
class SyncResult:
    """Task changes, made or planned, and their reasons. `settled` describes renumbered duplicate tasks."""

    advanced: AdvanceResult
    dry_run: bool
    settled: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/sync@1",
            "plan": self.advanced.plan,
            "dry_run": self.dry_run,
            "settled": list(self.settled),
            "changes": [
                {
                    "task": change.after.id,
                    "before": change.before.status,
                    "after": change.after.status,
                    "attempt": change.after.attempt,
                    "commits": list(change.after.commits),
                    "why": change.why,
                }
                for change in self.advanced.changes
            ],
            "unknown": list(self.advanced.unknown),
            "held": list(self.advanced.held),
        }


def sync(repo: Repository, plan: str | None, *, progress: Progress, dry_run: bool = False) -> SyncResult:
    """Recompute the statuses of a plan's tasks: recover dead runs, then read commits and records.

    Before that, tasks that share a number after a line-based merge get numbers of their own.

    Args:
        repo: the repository.
        plan: the plan's name; the current one when None.
        progress: called with each progress message.
        dry_run: only report the changes.

    Raises:
        PlannerError: E_NO_PLAN, E_CHECKED_OUT, E_CONFLICT, E_JSON, E_SCHEMA, E_GIT.
    """
    name = needed_plan(repo, plan)
    renumberings = _renumber_duplicates(repo, name, dry_run=dry_run)
    if dry_run and renumberings:
        # Later changes depend on the renumbering.
        return SyncResult(AdvanceResult(name), dry_run, renumberings)
    if not dry_run:
        # Dead runs are recovered first: they determine the attempt of a commit.
        recover_runs(repo, name, progress)
    return SyncResult(
        advance_plan(repo, name, prove=_record_evidence(repo, name), dry_run=dry_run), dry_run, renumberings
    )


def _renumber_duplicates(repo: Repository, plan: str, *, dry_run: bool) -> tuple[str, ...]:
    renumberings: list[str] = []

    def change(snapshot: Snapshot) -> Edits:
        document = read_plan_at(repo, snapshot, plan)
        result = merge_duplicates(document) if document is not None else None
        renumberings[:] = result.notes if result is not None else ()
        return (
            plan_edits(result.document, plan) if result is not None and renumberings and not dry_run else {}
        )

    Store(repo).edit(refnames.plan_ref(plan), change, task_message(plan, "tasks", "settle"), masked=True)
    return tuple(renumberings)


def _record_evidence(repo: Repository, plan: str) -> EvidenceSource:
    """Return a function that adds a plan's records to its tasks as evidence.

    A valid record proves only that the policy's correctness command passed on that commit, with the guarded
    files of the trusted base. So it is evidence for tasks that are verified by exactly that command.
    """
    valid = {
        row.commit: row.id for row in LedgerReader(repo).read(plan) if row.valid and row.kind != "imported"
    }

    def prove(task: Task, history: History) -> tuple[Task, str | None]:
        commit = task.commits[-1] if task.commits else ""
        recorded_commit = history.commits.get(commit)
        if task.status != "agent_done" or recorded_commit is None or commit not in valid or not task.verify:
            return task, None
        note = f"record {valid[commit]}"
        if any(evidence.attempt == task.attempt and evidence.commit == commit for evidence in task.evidence):
            return task, None
        record = find_record(repo, plan, valid[commit])
        correctness = policy_at(repo, record.base).correctness
        if correctness is None or any(command != correctness.run for command in task.verify):
            return task, None
        seconds = record.seconds.get("correctness", 0.0)
        run = VerifyRun(correctness.run, 0, seconds, None)
        by, at, tree = "git record", record.created_at, recorded_commit.tree
        proof = TaskEvidence("verified", at, by, task.attempt, commit, tree, ok=True, runs=(run,), note=note)
        return task._replace(evidence=(*task.evidence, proof)), f"{note} shows it"

    return prove
