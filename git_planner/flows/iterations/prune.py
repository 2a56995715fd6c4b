"""`git iterate prune`: remove the worktrees of finished iterations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.iterations import process_lock
from git_planner.flows.iterations.unfinished.leftovers import is_managed_worktree
from git_planner.flows.planning.list_iterations import Iteration, is_task_iteration, list_iterations
from git_planner.gitio import agent_worktree, worktree
from git_planner.gitio.content.pipes import remove_pipes
from git_planner.gitio.repository import Repository, open_repository
from git_planner.gitio.worktree import Worktree
from git_planner.progress import Progress
from git_planner.rules import refnames

# Folder name from `worktree_path`.
_FOLDER = re.compile(r"(\d{4,})-[a-z0-9]")


@dataclass(frozen=True, slots=True)
class PrunedWorktree:
    """One worktree of an iteration. `size` in bytes; `why` is why it was kept, None if it was removed."""

    path: Path
    branch: str | None
    number: int | None
    size: int
    why: str | None

    def document(self) -> dict[str, Any]:
        """Return the worktree as a JSON object."""
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
    """Result of a prune. With `dry_run`, the removed worktrees are those that would be removed."""

    folder: Path
    places: tuple[PrunedWorktree, ...]
    dry_run: bool

    @property
    def freed(self) -> int:
        """Return the size in bytes of the removed worktrees."""
        return sum(place.size for place in self.places if place.why is None)

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/pruned@1",
            "folder": str(self.folder),
            "dry_run": self.dry_run,
            "places": [place.document() for place in self.places],
            "freed": self.freed,
        }


def prune_worktrees(repo: Repository, progress: Progress, *, dry_run: bool) -> PruneResult:
    """Remove clean, managed worktrees of finished iterations.

    Args:
        repo: the repository.
        progress: called with each progress message.
        dry_run: only report what would be removed.
    """
    folder = read_settings(repo).worktrees
    by_branch = {iteration.branch: iteration for iteration in list_iterations(repo) if iteration.branch}
    places = []
    worktrees = worktree.listing(repo)
    for place in worktrees:
        branch = (place.branch or "").removeprefix(refnames.HEADS) or None
        parsed = refnames.parse_iteration(branch) if branch else None
        if not is_managed_worktree(folder, place.path):
            continue
        cause = _cause_to_keep(repo, place, by_branch.get(branch or ""))
        size = process_lock.disk_use(place.path)
        if cause is None and not dry_run:
            progress(f"removing '{place.path}'")
            try:
                worktree.remove(repo, place.path)
            except PlannerError as error:
                cause = error.message
        places.append(PrunedWorktree(place.path, branch, parsed.number if parsed else None, size, cause))
    places += _unregistered(repo, folder, {place.path.resolve() for place in worktrees})
    if not dry_run and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return PruneResult(folder, tuple(places), dry_run)


def _unregistered(repo: Repository, folder: Path, known: Set[Path]) -> Iterator[PrunedWorktree]:
    """Yield folders named like an iteration's worktree that are not registered worktrees."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _FOLDER.match(path.name)
        if match is None or path.is_symlink() or not path.is_dir() or path.resolve() in known:
            continue
        with suppress(PlannerError):
            other = open_repository(path)
            if other.top == path and other.git_dir != path / ".git" and other.common != repo.common:
                continue
        cause = "not a registered worktree; delete it yourself if you no longer need it"
        yield PrunedWorktree(path, None, int(match[1]), process_lock.disk_use(path), cause)


def _cause_to_keep(repo: Repository, place: Worktree, iteration: Iteration | None) -> str | None:
    if iteration is None:
        return "not on an iteration's branch"
    if process_lock.lock_holder(repo, iteration.number) is not None:
        return "a process works in it"
    if place.locked:
        return "it is locked"
    return _cause_unsafe(repo, place, iteration) if place.path.exists() else None


def _cause_unsafe(repo: Repository, place: Worktree, iteration: Iteration) -> str | None:
    """Return why an existing worktree must stay: uncommitted work, or it is in use."""
    opened = agent_worktree.at(place.path, repo)
    if iteration.phase != "recorded" and not is_task_iteration(iteration):
        return f"the iteration is not finished ({iteration.phase})"
    if opened is None:
        return "it is not a worktree of this repository any more"
    if repo.top is not None and repo.top == opened.top:
        return "you are in it"
    remove_pipes(place.path)
    dirty = worktree.dirty_paths(opened)
    return f"it has uncommitted changes ({len(dirty)})" if dirty else None
