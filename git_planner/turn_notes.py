"""Notes of this program's own ref moves, for as long as agents are at work.

Every turn of an agent has a file in `planner/turns` of the common git directory, locked by its process. The
store appends each move to all of them before it is made; so the moves of others are known at a turn's end.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_GONE = "-"


def note_moves(folder: Path, moves: Iterable[tuple[str, str | None]]) -> None:
    """Note moves that are about to be made.

    Args:
        folder: the folder of the turns' files; without it no agent is at work.
        moves: full ref names with the new object ids, None for a deletion.
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return
    lines = "".join(f"\n{new or _GONE} {ref}\n" for ref, new in moves).encode("utf-8", "surrogateescape")
    for name in names:
        # A turn that ends in this moment has removed its file; where nothing can be written, no ref moves.
        with suppress(OSError):
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                os.write(descriptor, lines)
            finally:
                os.close(descriptor)


@contextmanager
def open_turn(folder: Path, name: str) -> Iterator[Path]:
    """Have all moves of this program noted in a file, and yield its path; remove files of killed ones."""
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    path = folder / name
    draft = folder.with_name(f"{folder.name}-{name}")
    with open(draft, "xb") as file:
        # Locked before it has its name, so that nobody takes it for an abandoned one.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(draft, path)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def read_moves(path: Path) -> dict[str, list[str | None]]:
    """Return the noted moves: full ref name -> new object ids in order, None for a deletion."""
    moves: dict[str, list[str | None]] = {}
    for line in path.read_bytes().decode("utf-8", "surrogateescape").split("\n"):
        new, _, ref = line.partition(" ")
        if ref:
            moves.setdefault(ref, []).append(None if new == _GONE else new)
    return moves


def _remove_abandoned(folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(OSError), open(path, "rb") as file:
            if _is_free(file):
                path.unlink()


def _is_free(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
