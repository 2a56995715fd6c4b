"""Open work that may change the paths of what is reviewed."""

from __future__ import annotations

from collections.abc import Sequence

from git_planner.flows.planning.list_iterations import Iteration
from git_planner.flows.plans.page_store import Pages
from git_planner.flows.review.shown import shown
from git_planner.flows.tasks.lint import MAX_OVERLAPS, works_elsewhere
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Store
from git_planner.rules import refnames
from git_planner.rules.policy.globs import find_overlap
from git_planner.rules.review.sections import Overlap
from git_planner.rules.tasks.readiness import ScopedWork
from git_planner.rules.tasks.task import CLOSED, TaskSummary


def read_summaries(repo: Repository, plan: str) -> list[TaskSummary]:
    """Return summaries of a plan's tasks; none if there is no plan.

    Raises:
        PlannerError: E_JSON, E_SCHEMA.
    """
    with repo.git.batch() as batch:
        snapshot = Store(repo).snapshot(refnames.plan_ref(plan), batch)
        return Pages(repo, plan).read_summaries(snapshot) or []


def find_overlaps(
    repo: Repository,
    writes: Sequence[str],
    *,
    plan: str,
    tasks: Sequence[TaskSummary],
    iterations: Sequence[Iteration],
    excluded: set[str | None],
) -> tuple[Overlap, ...]:
    """Return the open work that may change paths of a scope: tasks, iterations and variants.

    Args:
        repo: the repository.
        writes: the patterns or paths of the scope.
        plan: the plan whose tasks are given.
        tasks: tasks of this plan, so that they are read once.
        iterations: all iterations.
        excluded: branches of iterations that are the reviewed work itself.
    """
    own = [
        ScopedWork("task", task.id, tuple(task.write_scope)) for task in tasks if task.status not in CLOSED
    ]
    overlaps = []
    for work in (*own, *works_elsewhere(repo, plan, excluded, iterations)):
        patterns = find_overlap(writes, work.writes)
        if patterns:
            overlaps.append(shown_overlap(work.label, *patterns))
            if len(overlaps) >= MAX_OVERLAPS:
                break
    return tuple(overlaps)


def shown_overlap(name: str, own: str, other: str) -> Overlap:
    """Return an overlap with bounded texts."""
    return Overlap(*shown([name, own, other]))
