"""`git planner uninstall`: take git-planner out of a repository; documents on branches stay."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner.errors import PlannerError
from git_planner.flows.iterations.prune import prune_worktrees
from git_planner.flows.setup.init import undo_init
from git_planner.flows.setup.uninstall.traces import Traces, find_traces
from git_planner.flows.sharing import remote_setup
from git_planner.gitio.kept.kept_folder import remove_kept
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Delete, Snapshot, Step, Store
from git_planner.progress import Progress


@dataclass(frozen=True, slots=True)
class Uninstalled:
    """Result of an uninstallation: what there was, and what is left."""

    before: Traces
    after: Traces
    left_hooks: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/uninstalled@1",
            "before": self.before.document(),
            "after": self.after.document(),
            "left_hooks": list(self.left_hooks),
        }


def uninstall(repo: Repository, progress: Progress, *, work: bool) -> Uninstalled:
    """Remove all that git-planner has put into a repository, except documents on branches.

    The hooks go first: they keep the private refs from being removed. A repetition goes on with what an
    interrupted one has left.

    Args:
        repo: the repository.
        progress: called with each progress message.
        work: also remove the private refs with work that nothing else keeps.

    Raises:
        PlannerError: E_BUSY while something works in the repository, or git's configuration is locked.
    """
    before = find_traces(repo)
    check_idle(before)
    hooks = undo_init(repo)
    for name in before.remotes:
        progress(f"removing the refspecs of '{name}'")
        remote_setup.remove_setup(repo, name)
    for place in prune_worktrees(repo, progress, dry_run=False).places:
        if place.why is not None:
            progress(f"kept '{place.path}': {place.why}")
    _remove_refs(repo, [ref for ref in before.refs if work or ref not in before.work], progress)
    for key in before.config:
        repo.git.run("config", "--local", "--unset-all", key)
    if before.kept is not None and not remove_kept(before.kept):
        progress(f"kept '{before.kept.path}': a record measures in it")
    shutil.rmtree(repo.private(), ignore_errors=True)
    return Uninstalled(before, find_traces(repo), hooks.left)


def check_idle(traces: Traces) -> None:
    """Refuse to go on while something works in the repository.

    Raises:
        PlannerError: E_BUSY.
    """
    if traces.running:
        raise PlannerError(
            "E_BUSY",
            "git-planner is at work in this repository",
            hint="end what runs, then try again",
            details=traces.running,
        )


def _remove_refs(repo: Repository, refs: Sequence[str], progress: Progress) -> None:
    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        return [Delete(ref) for ref, snapshot in seen.items() if snapshot.tip is not None]

    if refs:
        progress(f"removing {len(refs)} private refs")
        Store(repo).transact(refs, decide)
