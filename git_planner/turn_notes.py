"""Notes of this program's own ref moves, for as long as agents are at work.

Every turn of an agent has a file in `planner/turns` of the common git directory, locked by its process. The
store appends each move to all of them before it is tried, and its outcome after that; so the moves of others
are known at a turn's end.
No move is under way while a turn reads the refs, at its begin and at its end: both use `turns.lock`.
An agent outside of a sandbox can remove the files, so a process uses its own ones by their handles.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from git_planner import atomic_file

_GONE = "-"
_MADE, _NOT_MADE = "+", "!"
# A move takes milliseconds; only a process that was suspended in one holds the lock for longer.
_LOCK_SECONDS = 10.0
# Handles of the files of this process's turns.
_own: set[int] = set()


class NotedMoves(NamedTuple):
    """The noted moves of a ref: its new object ids in order, None for a deletion.

    `tried` are those that were made, or may have been by a process that was killed; `made` surely were.
    """

    tried: list[str | None]
    made: list[str | None]


@contextmanager
def noted_moves(folder: Path, moves: Iterable[tuple[str, str | None]]) -> Iterator[Callable[[], None]]:
    """Note moves that the block makes; a turn that begins or ends meanwhile waits for them.

    Args:
        folder: the folder of the turns' files; without it no agent is at work.
        moves: full ref names with the new object ids, None for a deletion.

    Yields:
        A function to call if the moves were not made.
    """
    noted, outcome = tuple(moves), _MADE

    def take_back() -> None:
        nonlocal outcome
        outcome = _NOT_MADE

    with _locked(folder, fcntl.LOCK_SH):
        _note(folder, noted)
        yield take_back
        # After an exception it is not known whether they were made.
        _note(folder, noted, outcome)


def _note(folder: Path, moves: Iterable[tuple[str, str | None]], mark: str = "") -> None:
    names: list[str] = []
    with suppress(OSError):
        names = os.listdir(folder)
    if not names and not _own:
        return
    lines = "".join(f"\n{mark}{new or _GONE} {ref}\n" for ref, new in moves).encode(
        "utf-8", "surrogateescape"
    )
    for handle in tuple(_own):
        with suppress(OSError):
            os.write(handle, lines)
    for name in names:
        # A turn that ends in this moment has removed its file; where nothing can be written, no ref moves.
        with suppress(OSError):
            # Without waiting for a reader, if a pipe has taken its place.
            handle = os.open(folder / name, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(handle, lines)
            finally:
                os.close(handle)


@contextmanager
def open_turn(folder: Path, name: str) -> Iterator[IO[bytes]]:
    """Have all moves of this program noted in a file, and yield it; remove files of killed ones."""
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    path = folder / name
    draft = folder.with_name(f"{folder.name}-{name}")
    with open(draft, "x+b", buffering=0, opener=_open_for_appending) as file:
        # Locked before it has its name, so that nobody takes it for an abandoned one.
        atomic_file.lock_now(file)
        os.rename(draft, path)
        try:
            _own.add(file.fileno())
            # From here on moves are noted in the file; those that were noted before are waited for.
            with no_move_under_way(folder):
                pass
            yield file
        finally:
            _own.discard(file.fileno())
            with suppress(OSError):
                path.unlink()


@contextmanager
def no_move_under_way(folder: Path) -> Iterator[None]:
    """Wait for the moves that are being made, and let none begin within the block."""
    with _locked(folder, fcntl.LOCK_EX):
        yield


def read_moves(turn: IO[bytes]) -> dict[str, NotedMoves]:
    """Return the noted moves by full ref name."""
    turn.seek(0)
    moves: dict[str, NotedMoves] = {}
    for line in turn.read().decode("utf-8", "surrogateescape").split("\n"):
        new, _, ref = line.partition(" ")
        if not ref:
            continue
        name = new.lstrip(_MADE + _NOT_MADE)
        oid, noted = None if name == _GONE else name, moves.setdefault(ref, NotedMoves([], []))
        if new == name:
            noted.tried.append(oid)
        elif new.startswith(_MADE):
            noted.made.append(oid)
        elif oid in noted.tried:
            del noted.tried[len(noted.tried) - 1 - noted.tried[::-1].index(oid)]
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
        with suppress(OSError), atomic_file.open_regular(path) as file:
            if atomic_file.lock_now(file):
                path.unlink()


def _open_for_appending(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_APPEND, 0o666)
