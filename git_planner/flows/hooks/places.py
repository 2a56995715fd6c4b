"""Folders and files of hooks: whose they are, and writing them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from git_planner import atomic_file
from git_planner.gitio.repository import Repository


def is_ours_alone(repo: Repository, folder: Path) -> bool:
    """Whether a hooks folder is the repository's alone: no other program's, and no other repository's."""
    real = folder.resolve()
    return folder.is_absolute() and real.is_relative_to(repo.common.resolve()) and not is_not_a_folder(folder)


def is_not_a_folder(path: Path) -> bool:
    """Whether something else is there, such as the /dev/null of those who want no hooks."""
    return os.path.lexists(path) and not path.is_dir()


def is_same_file(first: Path, second: Path) -> bool:
    """Whether two names are of one file, as an installation leaves them that was killed."""
    return os.path.lexists(second) and os.path.samestat(os.lstat(first), os.lstat(second))


def write_text(path: Path, text: str) -> bool:
    """Write a file unless it has this text already; return whether anything changed."""
    data = os.fsencode(text)
    if path.is_file() and path.read_bytes() == data:
        return False
    atomic_file.write(path, data)
    return True


def git_version(repo: Repository) -> tuple[int, ...]:
    """Return the version of the installed git, such as (2, 39, 5)."""
    found = re.search(r"(\d+)\.(\d+)", repo.git.line("version"))
    return tuple(int(number) for number in found.groups()) if found else (0, 0)
