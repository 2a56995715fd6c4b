"""`git plan worker prune`: remove worktrees of finished work, and the files of old runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner.flows.board.sessions import session_store
from git_planner.flows.iterations.process_lock import disk_use
from git_planner.flows.iterations.prune import PruneResult, prune_worktrees
from git_planner.flows.runs import store
from git_planner.folders import remove_folder
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress


@dataclass(frozen=True, slots=True)
class PrunedRun:
    """Files of one ended run. `size` in bytes."""

    run: str
    size: int

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"run": self.run, "bytes": self.size}


@dataclass(frozen=True, slots=True)
class BoardPruning:
    """Removed worktrees and runs, and what is left; with `dry_run`, those that would be removed."""

    worktrees: PruneResult
    runs: tuple[PrunedRun, ...]
    kept_runs: int
    kept_bytes: int

    def document(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        return {
            "schema": "git-planner/board-pruned@1",
            "worktrees": self.worktrees.document(),
            "runs": [run.document() for run in self.runs],
            "kept_runs": self.kept_runs,
            "kept_bytes": self.kept_bytes,
        }


def prune_board(repo: Repository, keep: int, progress: Progress, *, dry_run: bool) -> BoardPruning:
    """Remove worktrees of finished work, and the files of ended runs but the newest.

    Args:
        repo: the repository.
        keep: number of ended runs whose files stay.
        progress: called with each progress message.
        dry_run: only report what would be removed.
    """
    worktrees = prune_worktrees(repo, progress, dry_run=dry_run)
    ended = sorted(_ended_runs(repo))
    old = ended[: max(0, len(ended) - keep)]
    pruned = []
    for run_id in old:
        folder = store.run_folder(repo, run_id)
        pruned.append(PrunedRun(run_id, disk_use(folder)))
        if not dry_run:
            _remove(folder)
    kept = ended[len(old) :]
    sizes = sum(disk_use(store.run_folder(repo, run_id)) for run_id in kept)
    return BoardPruning(worktrees, tuple(pruned), len(kept), sizes)


def _ended_runs(repo: Repository) -> set[str]:
    """Return the ids of the runs that have ended, as both of their files say."""
    runs = {run.run: run.ended_at is not None for run in store.list_runs(repo)}
    for session in session_store.host_sessions(repo):
        is_over = session.session.state == "ended" and session.is_told
        runs[session.run] = is_over and runs.get(session.run, True)
    return {run_id for run_id, has_ended in runs.items() if has_ended}


def _remove(folder: Path) -> None:
    # A folder that was removed by half has none of these files, and is no run.
    for name in (store.META, session_store.FILE):
        (folder / name).unlink(missing_ok=True)
    remove_folder(folder)
