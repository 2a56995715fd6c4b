"""Changes of an interrupted attempt, which are kept, and its worktree, which is removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from git_planner.config.policy_file import policy_at
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.iterations import process_lock
from git_planner.flows.iterations.agent_changes import content_limits
from git_planner.flows.planning.list_iterations import Iteration, is_task_iteration
from git_planner.gitio import agent_worktree, worktree
from git_planner.gitio.content.read_content import read_content
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.planning.directive import IterationState


def end_attempt(repo: Repository, iteration: Iteration, progress: Progress) -> None:
    """End what is left of an attempt's agents, so that its worktree stands still.

    Raises:
        PlannerError: E_BUSY while a process works on the iteration; E_USAGE if it is an unfinished attempt at
            a task.
    """
    owner = process_lock.lock_holder(repo, iteration.number)
    if owner is not None:
        raise PlannerError(
            "E_BUSY",
            f"process {owner} is working on iteration {iteration.number}",
            hint="wait for it, or end it with Ctrl-C where it runs",
        )
    if is_task_iteration(iteration) and iteration.phase not in ("committed", "recorded"):
        # Its branch is the task's work, which the task refers to; only a delegator knows how it ended.
        raise PlannerError(
            "E_USAGE",
            f"iteration {iteration.number} is an attempt at a task, which 'git plan delegate' repeats",
            hint=f"git plan runs --plan {iteration.state.plan if iteration.state else ''}",
        )
    ended = process_lock.end_leftover_agents(repo, iteration.number)
    if ended:
        progress(f"ended leftover processes of the agent: {', '.join(map(str, ended))}")


def clear_attempt(
    repo: Repository,
    iteration: Iteration,
    place: Repository | None,
    progress: Progress,
    *,
    back_to: str | None = None,
) -> None:
    """Keep the changes of an interrupted attempt, remove its worktree and reset its branch.

    Args:
        repo: the repository.
        iteration: the iteration.
        place: its worktree, if there is one.
        progress: called with each progress message.
        back_to: the commit that the branch is reset to (default: the state commit).
    """
    assert iteration.start is not None
    assert iteration.branch is not None
    back = back_to or iteration.start
    ref, rescue = refnames.HEADS + iteration.branch, f"{refnames.INTERRUPTED}{iteration.number:04d}"
    tip = repo.maybe(ref) or iteration.start
    if place is not None and place.top is not None:
        agent_worktree.repair(place, ours=True)
        tree = _keepable_tree(repo, iteration, place)
    else:
        tree = repo.resolve(tip, "tree")
    if iteration.refused is None and (tip != back or tree != repo.resolve(back, "tree")):
        message = f"{iteration.branch}: what an interrupted attempt had done\n"
        agent_worktree.keep(repo, rescue, tree, tip, message)
        progress(f"kept the changes of the interrupted attempt as '{rescue}'")
    if place is not None and place.top is not None:
        worktree.remove(repo, place.top)
    folder = read_settings(repo).worktrees
    for linked in worktree.listing(repo):
        # A registered worktree without a folder blocks checking out its branch again.
        if linked.branch == ref and is_managed_worktree(folder, linked.path) and not linked.path.exists():
            worktree.remove(repo, linked.path)
    agent_worktree.put_branch(repo, ref, back)


def _keepable_tree(repo: Repository, iteration: Iteration, place: Repository) -> str:
    """Return the tree of an interrupted attempt's worktree, which is about to be removed.

    Raises:
        PlannerError: E_DIRTY when something there cannot be kept.
    """
    assert iteration.state is not None
    assert iteration.start is not None
    limits = content_limits(policy_at(repo, iteration.state.base))
    content = read_content(place, iteration.start, limits)
    if content.problems and iteration.refused is None:
        raise PlannerError(
            "E_DIRTY",
            f"'{place.top}' holds what cannot be kept in git",
            hint=f"move it elsewhere, then 'git iterate resume {iteration.number}'",
            details=content.problems,
        )
    return content.tree


def is_managed(repo: Repository, place: Repository) -> bool:
    """Return whether a worktree is one that git-planner made for an iteration."""
    return place.top is not None and is_managed_worktree(read_settings(repo).worktrees, place.top)


def is_managed_worktree(folder: Path, path: Path) -> bool:
    """Return whether a worktree lies directly in the folder for iteration worktrees."""
    return path.resolve().parent == folder.resolve()


def record_extra(state: IterationState) -> dict[str, Any]:
    """Return what a record tells of the planner, for an attempt that was interrupted."""
    planned = dict(state.planner.get("usage") or {"input": 0, "output": 0})
    return {
        "agents": {"planner": {"name": state.planner["name"], "model": state.planner["model"]}},
        "usage": {"planner_input": planned["input"], "planner_output": planned["output"]},
        "seconds": {"plan": state.planner["seconds"]},
    }
