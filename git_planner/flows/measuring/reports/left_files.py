"""Find and read files that a measured command left in its tree. Links are not followed, sizes are bounded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from git_planner.gitio.content.pathspec import matcher
from git_planner.rules.policy.policy import pathspecs

_MAX_ENTRIES = 2_000_000
_MAX_FILES = 10_000


def find_left_files(tree: Path, pattern: str) -> list[Path]:
    """Return the regular files in a tree that a glob matches, sorted; at most ten thousand."""
    if not set(pattern) & {"*", "?", "[", "\\"}:
        path = tree / pattern
        return [path] if _is_plain(tree, path) else []
    matches = matcher(tuple(pathspecs([pattern])))
    if matches is None:
        return sorted(path for path in tree.glob(pattern) if _is_plain(tree, path))[:_MAX_FILES]
    found = (path for path in _walk(tree) if matches(path.relative_to(tree).as_posix()))
    return sorted(found)[:_MAX_FILES]


def remove_left_files(tree: Path, pattern: str) -> None:
    """Remove files of the tree that a later search would take for what the command left."""
    for path in find_left_files(tree, pattern):
        path.unlink()


def read_bounded(paths: list[Path], most: int) -> list[bytes]:
    """Return the content of files, together at most one byte more than `most`."""
    contents: list[bytes] = []
    room = most + 1
    for path in paths:
        with path.open("rb") as file:
            contents.append(file.read(room))
        room -= len(contents[-1])
        if room <= 0:
            break
    return contents


def is_regular(path: Path) -> bool:
    """Return whether a path is a file. A link, a pipe or a folder is none, and reading one could block."""
    return not path.is_symlink() and path.is_file()


def _is_plain(tree: Path, path: Path) -> bool:
    """Return whether a path is a file of the tree, and no folder on the way is a link."""
    return is_regular(path) and os.path.realpath(path) == os.path.join(
        os.path.realpath(tree), path.relative_to(tree)
    )


def _walk(tree: Path) -> Iterator[Path]:
    seen = 0
    for folder, _, names in os.walk(tree):
        seen += len(names) + 1
        if seen > _MAX_ENTRIES:
            return
        yield from (path for name in names if is_regular(path := Path(folder, name)))
