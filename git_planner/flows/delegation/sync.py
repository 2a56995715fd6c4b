"""`git plan sync`: tasks as commits, trailers, records and runs say, however often it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from git_planner.agents.contract import Tell
from git_planner.config.policy_file import policy_at
from git_planner.flows.delegation.recover import recover
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.plans.plan_document import plan_edits, read_plan_at
from git_planner.flows.records.ledger import LedgerReader, find_record
from git_planner.flows.tasks.edit import message
from git_planner.flows.tasks.follow_branch import Advanced, Prove, advance_plan
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Edits, Snapshot, Store
from git_planner.rules import refnames
from git_planner.rules.plans.merge_plan import merge_duplicates
from git_planner.rules.tasks.follow_history import History
from git_planner.rules.tasks.task import Task, TaskEvidence, VerifyRun


@dataclass(frozen=True, slots=True)
class Synced:
    """What changed, or would change, and why. `settled`: what became of tasks that a merge had left twice."""

    advanced: Advanced
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
                    "task": each.after.id,
                    "before": each.before.status,
                    "after": each.after.status,
                    "attempt": each.after.attempt,
                    "commits": list(each.after.commits),
                    "why": each.why,
                }
                for each in self.advanced.changes
            ],
            "unknown": list(self.advanced.unknown),
            "held": list(self.advanced.held),
        }


def sync(repo: Repository, plan: str | None, *, tell: Tell, dry_run: bool = False) -> Synced:
    """Rebuild the statuses of a plan's tasks: what dead runs left first, then what commits and records say.

    Before that, tasks of one number, as a merge that goes by lines leaves them, get numbers of their own.

    Args:
        repo: the repository.
        plan: the plan's name; the current one when None.
        tell: progress.
        dry_run: only say what commits and records would change.

    Raises:
        PlannerError: E_NO_PLAN, E_CHECKED_OUT, E_CONFLICT, E_JSON, E_SCHEMA, E_GIT.
    """
    name = current_plan(repo, plan)
    told = _settle(repo, name, dry_run=dry_run)
    if dry_run and told:
        # What would come after that is not known before it.
        return Synced(Advanced(name), dry_run, told)
    if not dry_run:
        # What a dead delegator left is brought to its end first: it says which attempt a commit is of.
        recover(repo, name, tell)
    return Synced(advance_plan(repo, name, prove=_records(repo, name), dry_run=dry_run), dry_run, told)


def _settle(repo: Repository, plan: str, *, dry_run: bool) -> tuple[str, ...]:
    told: list[str] = []

    def change(seen: Snapshot) -> Edits:
        document = read_plan_at(repo, seen, plan)
        found = merge_duplicates(document) if document is not None else None
        told[:] = found.told if found is not None else ()
        return plan_edits(found.document, plan) if found is not None and told and not dry_run else {}

    Store(repo).edit(refnames.plan_ref(plan), change, message(plan, "tasks", "settle"))
    return tuple(told)


def _records(repo: Repository, plan: str) -> Prove:
    """What a plan's records show of its tasks.

    A valid record shows that the policy's correctness command passed on that commit, with the guarded files
    of the trusted base, and no more. So it is evidence for tasks that are verified by exactly that command.
    """
    valid = {
        row.commit: row.id for row in LedgerReader(repo).of(plan) if row.valid and row.kind != "imported"
    }

    def prove(task: Task, seen: History) -> tuple[Task, str | None]:
        commit = task.commits[-1] if task.commits else ""
        known = seen.commits.get(commit)
        if task.status != "agent_done" or known is None or commit not in valid or not task.verify:
            return task, None
        note = f"record {valid[commit]}"
        if any(each.attempt == task.attempt and each.commit == commit for each in task.evidence):
            return task, None
        record = find_record(repo, plan, valid[commit])
        correctness = policy_at(repo, record.base).correctness
        if correctness is None or any(each != correctness.run for each in task.verify):
            return task, None
        seconds = record.seconds.get("correctness", 0.0)
        run = VerifyRun(correctness.run, 0, seconds, None)
        by, at, tree = "git record", record.created_at, known.tree
        proof = TaskEvidence("verified", at, by, task.attempt, commit, tree, ok=True, runs=(run,), note=note)
        return task._replace(evidence=(*task.evidence, proof)), f"{note} shows it"

    return prove
