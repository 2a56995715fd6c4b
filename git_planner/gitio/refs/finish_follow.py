"""Completion of a worktree whose git was killed while it followed its branch.

Some files are at the old commit, some at the new one, and one may be written in part. All of them were
unmodified before, so anything else is a person's work of the time since: it stays, as an unstaged change.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from git_planner import atomic_file
from git_planner.gitio.git import Git

_GITLINK, _NOTHING = "160000", "000000"
# Of a file that may be written in part no more is compared.
_MAX_PART = 64 * 1024 * 1024


def finish_follow(git: Git, top: Path, index: Path, old: str, new: str) -> None:
    """Bring the files of a worktree, and a copy of its index, from one commit to another.

    The copy changes last, so this can be killed at any time, too.

    Args:
        git: the git of the worktree.
        top: its folder.
        index: the copy, which has the old commit's entries, or already the new one's.
        old: the commit that the branch has left.
        new: the commit of the branch.
    """
    changes, env = _changes(git, old, new), {"GIT_INDEX_FILE": str(index)}
    staged = git.names("diff-index", "--cached", "--name-only", "--no-renames", "-z", new, env=env)
    if not changes.keys() & set(staged):
        # Git writes the index last.
        return
    git.run("update-index", "-q", "--refresh", env=env)
    modified = set(git.names("diff-files", "--name-only", "-z", env=env))
    were_tracked = {path for path, (before, _, _) in changes.items() if before != _NOTHING}
    as_before = were_tracked - modified
    target = index.with_name(f"{index.name}.new")
    shutil.copyfile(index, target)
    env = {"GIT_INDEX_FILE": str(target)}
    git.bytes("read-tree", "-i", "-m", old, new, env=env)
    git.run("update-index", "-q", "--refresh", env=env)
    modified = set(git.names("diff-files", "--name-only", "-z", env=env))
    for path in sorted(as_before, reverse=True):
        if changes[path][1] == _NOTHING:
            _remove(top, path)
    wanted = [
        path
        for path, (_, mode, blob) in changes.items()
        if path in modified
        and mode not in (_NOTHING, _GITLINK)
        and _is_in_reach(top, path)
        and (path in as_before or _is_part(git, top, path, blob))
    ]
    git.bytes("checkout-index", "-f", "-u", "-z", "--stdin", stdin=_terminated(wanted), env=env)
    os.replace(target, index)


def _changes(git: Git, old: str, new: str) -> dict[str, tuple[str, str, str]]:
    """Return the changed paths with their modes before and after, and the new blob."""
    fields = git.names("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old, new)
    changes = {}
    for meta, path in zip(fields[::2], fields[1::2], strict=True):
        before, after, _, blob, _ = meta.lstrip(":").split(" ")
        changes[path] = (before, after, blob)
    return changes


def _terminated(paths: list[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def _is_in_reach(top: Path, path: str) -> bool:
    """Return whether git can write a file without removing what a person put in the place of a folder."""
    place = top / path
    for folder in place.relative_to(top).parents:
        with suppress(FileNotFoundError, NotADirectoryError):
            if not stat.S_ISDIR((top / folder).lstat().st_mode):
                return False
    return place.is_symlink() or not place.is_dir()


def _is_part(git: Git, top: Path, path: str, blob: str) -> bool:
    """Return whether a file is missing, or has the beginning of its new content."""
    place = top / path
    try:
        if not stat.S_ISREG(place.lstat().st_mode):
            return False
        part = atomic_file.read(place, _MAX_PART)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return git.bytes("cat-file", "--filters", f"--path={path}", blob).startswith(part)


def _remove(top: Path, path: str) -> None:
    """Remove a file, and the folders that are empty then, as git does."""
    with suppress(OSError):
        (top / path).unlink()
        for folder in (top / path).relative_to(top).parents[:-1]:
            (top / folder).rmdir()
