"""Start of a command: the repository around the current folder."""

from __future__ import annotations

from git_planner.gitio.repository import Repository, index_locks, open_repository


def start_in_repository() -> Repository:
    """Open the repository of the command, and let worktrees follow where a killed command left them behind.

    Raises:
        PlannerError: E_NOT_A_REPOSITORY.
    """
    repo = open_repository()
    if index_locks(repo.common):
        from git_planner.gitio.worktree import recover_all

        recover_all(repo)
    return repo
