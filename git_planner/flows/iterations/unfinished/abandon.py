"""`git iterate abandon`: give up an unfinished iteration, with a record that says why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from git_planner import redact
from git_planner.errors import PlannerError
from git_planner.flows.iterations.provenance import iteration_record
from git_planner.flows.iterations.unfinished.leftovers import (
    clear_attempt,
    end_attempt,
    is_managed,
    record_extra,
)
from git_planner.flows.planning.list_iterations import Iteration, find_iteration, is_task_iteration
from git_planner.flows.records.record import record_failure
from git_planner.gitio import agent_worktree
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.records.record import Record

REASON, MAX_WHY = "abandoned", 2_000


@dataclass(frozen=True, slots=True)
class AbandonResult:
    """Result of giving up an iteration. `record` says why, None if only a number was reserved.

    `kept` is the ref of its uncommitted changes, if there were any. `known`: it was given up before.
    """

    number: int
    branch: str | None
    record: Record | None
    kept: str | None
    known: bool

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/abandoned@1",
            "iteration": self.number,
            "branch": self.branch,
            "record": self.record.document() if self.record else None,
            "kept": self.kept,
            "known": self.known,
        }


def abandon_iteration(repo: Repository, number: int, why: str, progress: Progress) -> AbandonResult:
    """Give up an unfinished iteration: record it as abandoned, and remove its worktree.

    Its branch stays where it is; uncommitted changes are kept on a ref. What `git iterate` is told next
    includes the reason. A repetition goes on with what an interrupted one has not done.

    Args:
        repo: the repository.
        number: the iteration.
        why: the reason; may be empty.
        progress: called with each progress message.

    Raises:
        PlannerError: E_UNKNOWN_REF; E_BUSY while a process works on it; E_USAGE if it is a task's, has a
            result, or was planned in another clone; E_DIRTY if its worktree holds what git cannot keep.
    """
    iteration = find_iteration(repo, number)
    _check(iteration)
    if iteration.state is None or iteration.phase == "recorded":
        return AbandonResult(number, iteration.branch, iteration_record(repo, iteration), None, True)
    end_attempt(repo, iteration, progress)
    rescue = f"{refnames.INTERRUPTED}{number:04d}"
    before = repo.maybe(rescue)
    tip = repo.maybe(refnames.HEADS + iteration.state.branch)
    assert iteration.start is not None
    commit = iteration.refused or (tip if iteration.phase == "committed" else None) or iteration.start
    place = agent_worktree.find_detached(iteration.worktree, repo) if iteration.worktree else None
    if place is None or is_managed(repo, place):
        clear_attempt(
            repo, iteration, place, progress, back_to=tip if iteration.phase == "committed" else None
        )
    kept = repo.maybe(rescue)
    reason = redact.mask_document({"why": " ".join(why.split())[:MAX_WHY]})["why"]
    done = record_failure(
        repo,
        iteration.state,
        commit,
        REASON,
        notes=(reason,) if reason else (),
        extra=record_extra(iteration.state),
        progress=progress,
    )
    return AbandonResult(
        number, iteration.branch, done.record, rescue if kept not in (None, before) else None, False
    )


def _check(iteration: Iteration) -> None:
    """Refuse an iteration that cannot be given up."""
    number = iteration.number
    if iteration.phase == "recorded":
        if iteration.record is not None and iteration.record.reason != REASON:
            raise PlannerError(
                "E_USAGE",
                f"iteration {number} has a result: {iteration.record.verdict}",
                hint=f"to dispute it: git record reject {iteration.record.id} --why …",
            )
    elif is_task_iteration(iteration):
        plan = iteration.state.plan if iteration.state else ""
        raise PlannerError(
            "E_USAGE",
            f"iteration {number} is an attempt at a task",
            hint=f"look at its run: git plan runs --plan {plan}",
        )
    elif iteration.state is not None and iteration.start is None:
        raise PlannerError(
            "E_USAGE",
            f"iteration {number} was planned in another clone",
            hint="give it up there",
        )
