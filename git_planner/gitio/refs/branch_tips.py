"""Notes of where the branches are that hold state, so that it is noticed when one of them is deleted.

Git keeps no reflog of a deleted branch. `planner/tips` of the common git directory has a file for every
branch that the store writes files to, with the commit that it was moved to last.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.gitio import history
from git_planner.gitio.repository import Repository

_TIPS = "tips"
_HEADS = "refs/heads/"


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
        draft = path.with_name(f"{path.name}.{os.urandom(6).hex()}.lock")
        draft.write_text(f"{tip}\n")
        os.replace(draft, path)


def check_new(repo: Repository, ref: str) -> None:
    """Refuse to begin a branch anew that was deleted since it was written here.

    Raises:
        PlannerError: E_BRANCH_GONE.
    """
    path = repo.private(_TIPS, ref)
    try:
        oid = path.read_text().strip()
    except OSError:
        return
    # Once git has deleted the commit there is nothing to lose any more.
    if repo.maybe(oid) is None or _is_contained(repo, oid):
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
    top, noted = repo.private(_TIPS), {}
    for folder, _, names in os.walk(top):
        # Names of branches do not end in '.lock'; drafts of killed processes do.
        for name in (name for name in names if not name.endswith(".lock")):
            path = Path(folder, name)
            with suppress(OSError):
                noted[path.relative_to(top).as_posix()] = path.read_text().strip()
    present = history.list_refs(repo, *noted) if noted else {}
    return {
        ref: oid for ref, oid in sorted(noted.items()) if ref not in present and not _is_contained(repo, oid)
    }


def _is_contained(repo: Repository, oid: str) -> bool:
    """Return whether a branch contains a commit."""
    return bool(repo.git.answer("branch", "--list", "--format=%(refname)", "--contains", oid))
