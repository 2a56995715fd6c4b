"""Temporary folders that a later program removes if the one that made them was killed.

Beside each folder is a file `<folder>.owner`, locked for as long as its program lives. Such a lock ends with
its process in every case, and is seen from other containers, too.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from git_planner import atomic_file
from git_planner.folders import remove_folder

TEMPORARY = "git-planner-"
_OWNER = ".owner"
# A younger owner may not have locked its file yet.
_SETTLED_SECONDS = 60
# Folders of older versions and of short steps have no owner.
_ABANDONED_SECONDS = 2 * 24 * 3600
_swept: set[tuple[str, str]] = set()


@contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder, and remove it at the end in every case.

    Args:
        parent: the folder to make it in (default: the system's folder for temporary files).
    """
    import tempfile

    with owned_folder(parent or Path(tempfile.gettempdir()), TEMPORARY) as folder:
        yield folder


@contextmanager
def owned_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder; remove it at the end in every case, and first those of killed programs.

    Args:
        parent: the folder to make it in.
        prefix: the beginning of its name; only folders with the same prefix are removed.
    """
    import tempfile

    parent.mkdir(parents=True, exist_ok=True)
    if (key := (os.fspath(parent), prefix)) not in _swept:
        _swept.add(key)
        remove_abandoned(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    owner = folder.with_name(folder.name + _OWNER)
    try:
        with open(owner, "wb") as file:
            # Without file locks, leftovers of a killed program stay.
            atomic_file.lock_now(file)
            yield folder
    finally:
        remove_folder(folder)
        owner.unlink(missing_ok=True)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove the folders of killed programs."""
    names = re.compile(rf"{re.escape(prefix)}[a-z0-9_]+")
    now = time.time()
    with suppress(OSError):
        for name in os.listdir(parent):
            if not names.fullmatch(name.removesuffix(_OWNER)):
                continue
            path = parent / name
            with suppress(OSError):
                status = path.lstat()
                if status.st_uid != os.geteuid():
                    continue
                if name.endswith(_OWNER):
                    if status.st_mtime < now - _SETTLED_SECONDS:
                        _remove_unlocked(path)
                elif status.st_mtime < now - _ABANDONED_SECONDS and not _has_owner(path):
                    remove_folder(path)


def _has_owner(folder: Path) -> bool:
    return folder.with_name(folder.name + _OWNER).exists()


def _remove_unlocked(owner: Path) -> None:
    with open(os.open(owner, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+b") as file:
        if atomic_file.lock_now(file):
            remove_folder(owner.with_name(owner.name.removesuffix(_OWNER)))
            owner.unlink(missing_ok=True)
