"""Branches and tags whose names leave no room for ours: beside 'plan' git has no 'plan/x'."""

from __future__ import annotations

from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames


def blocking_refs(repo: Repository) -> list[str]:
    """Return the branches and tags, those of remotes included, that block the names of git-planner."""
    names = refnames.blocking_names()
    branches = [refnames.short_name(name) for name in names if name.startswith(refnames.HEADS)]
    remote = [f"refs/remotes/*/{branch}" for branch in branches]
    below = refnames.best_ref("default") + "/"
    return [*history.resolve_refs(repo.git, *names), *history.list_refs(repo, *remote, below)]


def check_names(repo: Repository) -> None:
    """Refuse to begin where branches could not be made at the end, when an agent has been paid.

    Raises:
        PlannerError: E_BLOCKED with the branch or tag to rename.
    """
    for ref in history.resolve_refs(repo.git, *refnames.blocking_names()):
        raise history.blocked(ref, f"{ref}/…")
