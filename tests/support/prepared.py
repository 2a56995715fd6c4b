"""Prepared folders: what many tests start from is made once in a process, and written again for each of them.

To make a repository takes dozens of processes; to write its files again takes one.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """A folder, link or file below a prepared folder. `places`: the content names the folder."""

    path: str
    mode: int
    content: bytes | None
    link: bool = False
    places: bool = False


class Prepared(NamedTuple):
    """A folder as it was made: its path then, its entries, and the state of the object that made it."""

    root: Path
    entries: list[Entry]
    state: Any


_PREPARED: dict[Hashable, Prepared] = {}


def prepared(key: Hashable) -> Prepared | None:
    """Return the folder that was kept under a key in this process."""
    return _PREPARED.get(key)


def keep(key: Hashable, root: Path, state: Any) -> None:
    """Keep a folder under a key."""
    _PREPARED[key] = Prepared(root, list(_read_entries(root)), state)


def stamps(root: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of every file below a folder."""
    return {
        name: (about.st_size, about.st_mtime_ns)
        for folder, _, files in os.walk(root)
        for name in (os.path.join(folder, file) for file in files)
        for about in [os.lstat(name)]
    }


def write(folder: Prepared, root: Path) -> None:
    """Write a kept folder to another place, and adapt the paths in its files; what is there is removed."""
    place = os.getcwd()
    for path in root.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    old, new = os.fsencode(folder.root), os.fsencode(root)
    for entry in folder.entries:
        path = os.path.join(root, entry.path)
        if entry.content is None:
            os.mkdir(path)
            os.chmod(path, entry.mode)
            continue
        content = entry.content.replace(old, new) if entry.places else entry.content
        if entry.link:
            os.symlink(content, os.fsencode(path))
            continue
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), entry.mode)
    # The folder of that name is another one now.
    os.chdir(place)


def _read_entries(root: Path) -> Iterator[Entry]:
    old = os.fsencode(root)
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            path = os.path.join(folder, name)
            short, mode = os.path.relpath(path, root), stat.S_IMODE(os.lstat(path).st_mode)
            if os.path.islink(path):
                target = os.fsencode(os.readlink(path))
                yield Entry(short, mode, target, link=True, places=old in target)
            elif os.path.isdir(path):
                yield Entry(short, mode, None)
            else:
                content = Path(path).read_bytes()
                yield Entry(short, mode, content, places=old in content)
