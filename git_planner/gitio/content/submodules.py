"""Submodules that an agent may have moved or changed: which of their commits exist elsewhere, too."""

from __future__ import annotations

import os
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.gitio.content.inert_git import inert
from git_planner.gitio.git import Git
from git_planner.gitio.repository import Repository, open_repository


def is_published(repo: Repository, treeish: str, path: str, commit: str) -> bool:
    """Return whether a remote branch or a tag of this repository's clone of a submodule has a commit.

    Args:
        repo: the repository.
        treeish: the commit or tree whose `.gitmodules` names the submodule.
        path: where the submodule is.
        commit: the commit of the submodule.
    """
    store = _clone(repo, treeish, path)
    if store is None:
        return False
    git = Git((f"--git-dir={store}",), store)
    # It names the commit unless a remote branch or a tag reaches it.
    return git.answer("rev-list", "--max-count=1", commit, "--not", "--remotes", "--tags") == b""


def has_changes(folder: Path) -> bool:
    """Return whether the files of a submodule differ from its HEAD; also when that cannot be told."""
    try:
        place = inert(open_repository(folder), lfs=False)
        args = ("status", "--porcelain", "-z", "--untracked-files=all", "--ignore-submodules=dirty")
        return place.top != folder or bool(place.git.bytes(*args))
    except PlannerError:
        return True


def _clone(repo: Repository, treeish: str, path: str) -> Path | None:
    """Return the git directory of this repository's own clone of a submodule."""
    args = ("config", "--null", f"--blob={treeish}:.gitmodules", "--get-regexp", r"^submodule\..*\.path$")
    for entry in os.fsdecode(repo.git.answer(*args) or b"").split("\0"):
        key, _, value = entry.partition("\n")
        name = key.removeprefix("submodule.").removesuffix(".path")
        store = repo.common / "modules" / name
        if value == path and ".." not in name.split("/") and (store / "HEAD").is_file():
            return store
    return None
