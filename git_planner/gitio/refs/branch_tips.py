"""Notes of where the branches are that hold state, so that it is noticed when one of them is deleted.

Git keeps no reflog of a deleted branch. `planner/tips` of the common git directory has a file for every
branch that the store writes files to, with the commit that it was moved to last.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.gitio import history
from git_planner.gitio.repository import Repository

_TIPS = "tips"
_HEADS = "refs/heads/"
_MOST_BYTES = 100
# Neither a link nor a pipe is written to.
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def note_tip(repo: Repository, ref: str, tip: str | None) -> None:
    """Note where a branch is now; None when it was deleted on purpose. Other refs are not noted."""
    if not ref.startswith(_HEADS):
        return
    path = repo.private(_TIPS, ref)
    with suppress(OSError):
        if tip is None:
            path.unlink()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # In place, since every change of state waits for this: a note is one short line of a fixed length.
        descriptor = os.open(path, _WRITE, 0o666)
        try:
            os.pwrite(descriptor, f"{tip}\n".encode(), 0)
        finally:
            os.close(descriptor)


def check_new(repo: Repository, ref: str) -> None:
    """Refuse to begin a branch anew that was deleted since it was written here.

    Raises:
        PlannerError: E_BRANCH_GONE.
    """
    path = repo.private(_TIPS, ref)
    oid = _noted(path)
    # Once git has deleted the commit there is nothing to lose any more.
    if oid is None or repo.maybe(oid) is None or _is_contained(repo, oid):
        return
    name = ref.removeprefix(_HEADS)
    raise PlannerError(
        "E_BRANCH_GONE",
        f"the branch '{name}' is gone; it was at {oid[:12]} when it was last written here",
        hint=f"git branch {name} {oid}",
        details=[f"if it was deleted on purpose, delete the note of it, too: '{path}'"],
    )


def lost_branches(repo: Repository) -> dict[str, str]:
    """Return the noted branches that are gone, with their last commit.

    A branch counts as renamed, not as gone, if another one contains that commit.
    """
    top = repo.private(_TIPS)
    noted: dict[str, str] = {}
    for folder, _, names in os.walk(top):
        for path in (Path(folder, name) for name in names):
            if (oid := _noted(path)) is not None:
                noted[path.relative_to(top).as_posix()] = oid
    present = history.list_refs(repo, *noted) if noted else {}
    return {
        ref: oid for ref, oid in sorted(noted.items()) if ref not in present and not _is_contained(repo, oid)
    }


def _noted(path: Path) -> str | None:
    """Return the commit of a note; None if there is none, or it was not written to its end."""
    with suppress(OSError, UnicodeDecodeError):
        text = atomic_file.read(path, _MOST_BYTES).decode().strip()
        return text if history.is_object_id(text) else None
    return None


def _is_contained(repo: Repository, oid: str) -> bool:
    """Return whether a branch contains a commit."""
    return bool(repo.git.answer("branch", "--list", "--format=%(refname)", "--contains", oid))
