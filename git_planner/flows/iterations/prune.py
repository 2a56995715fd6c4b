"""`git iterate prune`: what the worktrees of iterations take on the disk, and removing finished ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner.agents.contract import Tell
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.iterations import process_lock
from git_planner.flows.iterations.list_iterations import Iteration, is_task_iteration, list_iterations
from git_planner.flows.iterations.resume import is_managed_worktree
from git_planner.gitio import agent_worktree, worktree
from git_planner.gitio.repository import Repository, open_repository
from git_planner.gitio.worktree import Worktree
from git_planner.rules import refnames

# The folder of an iteration, as `place_for` calls it.
_FOLDER = re.compile(r"(\d{4,})-[a-z0-9]")


@dataclass(frozen=True, slots=True)
class PrunedWorktree:
    """One worktree of an iteration. `size` in bytes; `why` says why it was kept, None when it was removed."""

    path: Path
    branch: str | None
    number: int | None
    size: int
    why: str | None

    def document(self) -> dict[str, Any]:
        """The worktree as a JSON object."""
        return {
            "path": str(self.path),
            "branch": self.branch,
            "iteration": self.number,
            "bytes": self.size,
            "removed": self.why is None,
            "why_kept": self.why,
        }


@dataclass(frozen=True, slots=True)
class PruneResult:
    """What prune found. With `dry_run`, what is called removed would have been."""

    folder: Path
    places: tuple[PrunedWorktree, ...]
    dry_run: bool

    @property
    def freed(self) -> int:
        """Bytes of the worktrees that were (or would be) removed."""
        return sum(place.size for place in self.places if place.why is None)

    def document(self) -> dict[str, Any]:
        """The result as one JSON document."""
        return {
            "schema": "git-planner/pruned@1",
            "folder": str(self.folder),
            "dry_run": self.dry_run,
            "places": [place.document() for place in self.places],
            "freed": self.freed,
        }


def prune_worktrees(repo: Repository, tell: Tell, *, dry_run: bool) -> PruneResult:
    """Remove worktrees of finished iterations that are ours and clean; never anything else.

    Args:
        repo: the repository.
        tell: progress.
        dry_run: only say what would be removed.
    """
    folder = read_settings(repo).worktrees
    by_branch = {iteration.branch: iteration for iteration in list_iterations(repo) if iteration.branch}
    places = []
    known = worktree.listing(repo)
    for place in known:
        branch = (place.branch or "").removeprefix(refnames.HEADS) or None
        named = refnames.parse_iteration(branch) if branch else None
        if not is_managed_worktree(folder, place.path):
            continue
        why = _why_kept(repo, place, by_branch.get(branch or ""))
        size = process_lock.disk_use(place.path)
        if why is None and not dry_run:
            tell(f"removing '{place.path}'")
            try:
                worktree.remove(repo, place.path)
            except PlannerError as error:
                why = error.message
        places.append(PrunedWorktree(place.path, branch, named.number if named else None, size, why))
    places += _unknown(repo, folder, {place.path.resolve() for place in known})
    if not dry_run and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return PruneResult(folder, tuple(places), dry_run)


def _unknown(repo: Repository, folder: Path, known: Set[Path]) -> Iterator[PrunedWorktree]:
    """What lies where iterations are made, is called like one, and is no worktree that a git knows."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        found = _FOLDER.match(path.name)
        if found is None or path.is_symlink() or not path.is_dir() or path.resolve() in known:
            continue
        with suppress(PlannerError):
            there = open_repository(path)
            if there.top == path and there.git_dir != path / ".git" and there.common != repo.common:
                continue
        why = "git knows no worktree there; take out what you need and delete it"
        yield PrunedWorktree(path, None, int(found[1]), process_lock.disk_use(path), why)


def _why_kept(repo: Repository, place: Worktree, iteration: Iteration | None) -> str | None:
    if iteration is None:
        return "it is on no iteration's branch"
    if process_lock.lock_holder(repo, iteration.number) is not None:
        return "a process works in it"
    if place.locked:
        return "it is locked"
    return _why_unsafe(repo, place, iteration) if place.path.exists() else None


def _why_unsafe(repo: Repository, place: Worktree, iteration: Iteration) -> str | None:
    """Why a worktree that is there may not go: work that is only in it, or somebody in it."""
    there = agent_worktree.at(place.path, repo)
    if iteration.phase != "recorded" and not is_task_iteration(iteration):
        return f"the iteration is not finished ({iteration.phase})"
    if there is None:
        return "it is not a worktree of this repository any more"
    if repo.top is not None and repo.top == there.top:
        return "you are in it"
    dirty = worktree.dirty_paths(there)
    return f"it has changes of its own ({len(dirty)})" if dirty else None
