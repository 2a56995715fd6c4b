"""Files that git cannot read as the 'working-tree-encoding' of their attributes asks."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from git_planner import atomic_file
from git_planner.gitio.content.survey import shown
from git_planner.gitio.git_failure import GitResult
from git_planner.gitio.repository import Repository

_REFUSED = re.compile(
    rb"(?m)^(?:fatal|error): (?:failed to encode|BOM is (?:required|prohibited) in) '([^\n]*)' (?:from|if) "
)
_ATTRIBUTE = "working-tree-encoding"


class RefusedPaths(NamedTuple):
    """The paths of one encoding that git refuses, and a sentence about it."""

    paths: frozenset[str]
    problem: str


def refused_paths(place: Repository, paths: Sequence[str], result: GitResult) -> RefusedPaths | None:
    """Return the paths with the encoding that ended a git; None if that was not the cause.

    Args:
        place: the worktree.
        paths: the paths that git was to read.
        result: the failure of git.
    """
    match = _REFUSED.search(result.stderr)
    path = os.fsdecode(match[1]) if match else None
    if path is None or path not in paths:
        return None
    stdin = os.fsencode("".join(f"{path}\0" for path in paths))
    answers = place.git.names("check-attr", "-z", "--stdin", _ATTRIBUTE, stdin=stdin)
    values = dict(zip(answers[::3], answers[2::3], strict=True))
    encoding = values[path]
    same = frozenset(other for other, value in values.items() if value == encoding)
    assert place.top is not None
    where = _find_line(place.top, path, encoding)
    return RefusedPaths(same, f"not in the encoding '{shown(encoding)}' that {where} names: {shown(path)}")


def _find_line(top: Path, path: str, encoding: str) -> str:
    """Return file and line of the attribute that gives a path its encoding."""
    folder = path
    while folder:
        folder = folder.rpartition("/")[0]
        name = f"{folder}/.gitattributes".lstrip("/")
        with suppress(OSError):
            lines = os.fsdecode(atomic_file.read(top / name)).splitlines()
            for number, line in reversed(list(enumerate(lines, 1))):
                if f"{_ATTRIBUTE}={encoding}" in line.split():
                    return f"'{shown(name)}:{number}'"
    return "an attribute"
