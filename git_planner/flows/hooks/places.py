"""Check hooks folders and write files in them."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from git_planner import atomic_file
from git_planner.gitio.repository import Repository


def is_ours_alone(repo: Repository, folder: Path) -> bool:
    """Return whether a hooks folder lies in this repository's git directory, so that nothing else uses it."""
    real = folder.resolve()
    return folder.is_absolute() and real.is_relative_to(repo.common.resolve()) and not is_not_a_folder(folder)


def is_not_a_folder(path: Path) -> bool:
    """Return whether the path exists and is no folder, such as /dev/null, which disables hooks."""
    return os.path.lexists(path) and not path.is_dir()


def is_same_file(first: Path, second: Path) -> bool:
    """Return whether two names are one file or equal copies, as a killed installation leaves them."""
    if not os.path.lexists(second):
        return False
    if os.path.samestat(os.lstat(first), os.lstat(second)):
        return True
    if first.is_symlink() or second.is_symlink():
        return first.is_symlink() and second.is_symlink() and os.readlink(first) == os.readlink(second)
    return os.lstat(first).st_mode == os.lstat(second).st_mode and first.read_bytes() == second.read_bytes()


def keep_as(path: Path, backup: Path) -> None:
    """Give a hook a second name; without hard links a copy gets it."""
    try:
        os.link(path, backup, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        draft = backup.with_name(f".{backup.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        shutil.copy2(path, draft, follow_symlinks=False)
        os.replace(draft, backup)


def write_text(path: Path, text: str) -> bool:
    """Write a file unless it has this text already; return whether anything changed."""
    data = os.fsencode(text)
    if path.is_file() and path.read_bytes() == data:
        return False
    atomic_file.write(path, data)
    return True


def git_version(repo: Repository) -> tuple[int, ...]:
    """Return the version of the installed git, such as (2, 39, 5)."""
    match = re.search(r"(\d{1,9})\.(\d{1,9})", repo.git.line("version"))
    return tuple(int(number) for number in match.groups()) if match else (0, 0)
