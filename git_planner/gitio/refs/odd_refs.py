"""Refs that do not simply name a commit: symbolic, damaged, or naming something else."""

from __future__ import annotations

import os
from contextlib import suppress

from git_planner import atomic_file
from git_planner.gitio import history
from git_planner.gitio.repository import Repository


def symbolic_target(repo: Repository, ref: str) -> str | None:
    """Return the ref that a symbolic ref names, which may not exist; None for other refs."""
    if not _may_be_symbolic(repo, ref):
        return None
    result = repo.git.run("symbolic-ref", "--quiet", ref)
    return os.fsdecode(result.stdout).strip() or None if result.status == 0 else None


def _may_be_symbolic(repo: Repository, ref: str) -> bool:
    """Return False if a ref surely is not symbolic, without starting git: it packs no symbolic refs."""
    if not (repo.common / "refs" / "heads").is_dir():
        return True  # Refs are not stored as files.
    path = repo.common / ref
    # A folder is in the way of a branch if there are branches below it.
    with suppress(FileNotFoundError, NotADirectoryError):
        return path.is_symlink() or (not path.is_dir() and atomic_file.read(path, 4096).startswith(b"ref:"))
    return False


def describe_odd(repo: Repository, ref: str) -> str:
    """Return what is wrong with a ref that names no commit."""
    if repo.maybe(ref, "object") is not None:
        return "names something that is no commit"
    if ref in history.list_refs(repo, ref):
        return "names a commit that does not exist"
    return "is damaged" if (repo.common / ref).is_file() else "is gone"


def clear_odd(repo: Repository, ref: str) -> None:
    """Remove what git can neither read nor overwrite under a ref's name: a symbolic ref, a damaged file."""
    if symbolic_target(repo, ref) is not None:
        repo.git.line("symbolic-ref", "--delete", ref)
    elif repo.maybe(ref, "object") is None and ref not in history.list_refs(repo, ref):
        with suppress(OSError):
            (repo.common / ref).unlink()
