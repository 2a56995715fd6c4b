"""Findings about a repository that mislead later commands: its worktrees, names and missing files."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from git_planner.gitio import worktree
from git_planner.gitio.repository import Repository
from git_planner.rules.diagnostic import Diagnostic


def worktree_findings(repo: Repository) -> Iterator[Diagnostic]:
    """Find worktrees that are missing, that do not lead back to the repository, or that belong to another."""
    for linked in worktree.listing(repo):
        if linked.prunable or not linked.path.exists():
            yield Diagnostic(
                "warning",
                "worktree-gone",
                "the folder of a worktree is missing",
                str(linked.path),
                "if it was moved: git worktree repair NEW_PATH; "
                f"if it is gone for good: git worktree remove {shlex.quote(str(linked.path))}",
            )
            continue
        state = worktree.link_state(repo, linked.path)
        if state != "sound":
            error = worktree.bad_link(repo, linked.path, state)
            code = f"worktree-{state}"
            yield Diagnostic("warning", code, error.message, str(linked.path), str(error.hint))
