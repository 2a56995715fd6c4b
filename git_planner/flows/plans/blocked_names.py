"""Branches and tags whose names leave no room for ours: beside 'plan' git has no 'plan/x'."""

from __future__ import annotations

from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames


def blocking_refs(repo: Repository, plan: str) -> dict[str, str]:
    """Return the refs, those of remotes included, that block names of git-planner, each with the name."""
    names = refnames.blocking_names()
    branches = [refnames.short_name(name) for name in names if name.startswith(refnames.HEADS)]
    remote = [f"refs/remotes/*/{branch}" for branch in branches]
    above = [*history.resolve_refs(repo.git, *names), *history.list_refs(repo, *remote)]
    return {ref: f"{ref}/…" for ref in above} | _refs_below(repo, plan)


def check_names(repo: Repository, plan: str) -> None:
    """Refuse to begin where branches could not be made at the end, when an agent has been paid.

    Raises:
        PlannerError: E_BLOCKED with the branch or tag to rename.
    """
    above = {ref: f"{ref}/…" for ref in history.resolve_refs(repo.git, *refnames.blocking_names())}
    for ref, name in (above or _refs_below(repo, plan)).items():
        raise history.blocked(ref, name)


def _refs_below(repo: Repository, plan: str) -> dict[str, str]:
    """Return the branches below the names of a plan's own branches."""
    own = (refnames.plan_ref(plan), refnames.best_ref(plan))
    below = history.list_refs(repo, *(f"{ref}/" for ref in own))
    return {ref: next(name for name in own if ref.startswith(f"{name}/")) for ref in below}
