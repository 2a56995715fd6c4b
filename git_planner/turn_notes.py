"""Notes of this program's own ref moves, for as long as agents are at work.

Every turn of an agent has a file in `planner/turns` of the common git directory, locked by its process. The
store appends each move to all of them before it is made; so the moves of others are known at a turn's end.
A move that was noted before a turn began is made before the turn reads the refs: both use `turns.lock`.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_GONE = "-"
# A move takes milliseconds; only a process that was suspended in one holds the lock for longer.
_LOCK_SECONDS = 10.0


@contextmanager
def noted_moves(folder: Path, moves: Iterable[tuple[str, str | None]]) -> Iterator[None]:
    """Note moves that the block makes; a turn that begins meanwhile waits for its end.

    Args:
        folder: the folder of the turns' files; without it no agent is at work.
        moves: full ref names with the new object ids, None for a deletion.
    """
    with _locked(folder, fcntl.LOCK_SH):
        _note(folder, moves)
        yield


def _note(folder: Path, moves: Iterable[tuple[str, str | None]]) -> None:
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
        # From here on moves are noted in the file; those that were noted before are waited for.
        with _locked(folder, fcntl.LOCK_EX):
            pass
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


@contextmanager
def _locked(folder: Path, kind: int) -> Iterator[None]:
    """Hold the lock of the moves; go on without it where it cannot be had."""
    path = folder.with_name(f"{folder.name}.lock")
    try:
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        yield
        return
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _is_taken(descriptor, kind) and time.monotonic() < deadline:
            time.sleep(0.001)
        yield
    finally:
        os.close(descriptor)


def _is_taken(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_abandoned(folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(OSError), open(path, "rb") as file:
            if _is_taken(file.fileno(), fcntl.LOCK_EX):
                path.unlink()
