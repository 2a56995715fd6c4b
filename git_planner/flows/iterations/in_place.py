"""Work in a person's worktree: only if it is clean, and return to its branch afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.gitio import agent_worktree, worktree
from git_planner.gitio.content.inert_git import config_files_in
from git_planner.gitio.content.survey import Limits
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress


def check_worktree(repo: Repository) -> Path:
    """Refuse a worktree that is bare, dirty or in the middle of an operation.

    Returns:
        Its top folder.

    Raises:
        PlannerError: E_USAGE in a bare repository; E_DIRTY with what is in the way.
    """
    if repo.top is None:
        raise PlannerError(
            "E_USAGE",
            f"'{repo.common}' is bare and has no worktree to work in",
            hint="leave out '--in-place'",
        )
    included = config_files_in(repo)
    if included:
        raise PlannerError(
            "E_USAGE",
            f"git's configuration includes '{included[0]}' of '{repo.top}', which an agent could change",
            hint="leave out '--in-place'",
        )
    operation = agent_worktree.unfinished(repo)
    if operation is not None:
        raise PlannerError(
            "E_DIRTY",
            f"a {operation} is in progress in '{repo.top}'",
            hint="finish it first, or leave out '--in-place'",
        )
    dirty = worktree.dirty_paths(repo)
    if dirty:
        raise PlannerError(
            "E_DIRTY",
            f"'{repo.top}' has uncommitted changes",
            hint="commit them first, or leave out '--in-place'",
            details=dirty[:20],
        )
    return repo.top


@contextmanager
def checked_out(
    repo: Repository, branch: str, rescue_ref: str, limits: Limits, progress: Progress
) -> Iterator[Repository]:
    """Switch a person's clean worktree to a branch; switch back afterwards.

    Args:
        repo: the repository, with an inert git.
        branch: the short name of the iteration's branch.
        rescue_ref: the ref that keeps uncommitted changes after an interruption.
        limits: the limits for the new and changed files among them.

    Raises:
        PlannerError: as `check`; E_GIT when git cannot switch.
    """
    check_worktree(repo)
    before = repo.head_branch()
    target = before or repo.resolve("HEAD")
    repo.git.bytes("switch", "--quiet", "--no-guess", branch)
    try:
        yield repo
    finally:
        _switch_back(repo, ["--detach", target] if before is None else [target], rescue_ref, limits, progress)


def _switch_back(
    repo: Repository, target: list[str], rescue_ref: str, limits: Limits, progress: Progress
) -> None:
    try:
        agent_worktree.repair(repo, ours=False)
        message = f"{rescue_ref.rsplit('/', 1)[1]}: what an interrupted attempt had done\n"
        kept, problems = agent_worktree.rescue(repo, repo, rescue_ref, message, target[-1], limits=limits)
        for problem in problems:
            progress(f"left in '{repo.top}': {problem}")
        if kept is not None:
            progress(f"kept the uncommitted changes as '{rescue_ref}'")
            agent_worktree.checkout_tree(repo, kept, "HEAD", target[-1])
        repo.git.bytes("switch", "--quiet", "--no-guess", *target)
    except PlannerError as error:
        progress(f"could not go back to '{target[-1]}': {error.message}")
        progress(f"'{repo.top}' is on '{repo.head_branch() or 'no branch'}'; look at it with 'git status'")
