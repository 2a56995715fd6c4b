"""Packs that no gc deletes, since they are marked, until a ref has moved to what they hold."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_KEEP = "git-planner: until a ref points here"
# A process holds objects for an agent's turn at most; an older file is of a process that was killed.
_KEEP_SECONDS = 24 * 3600
# Objects that are held in packs -> the marks of the packs; all marks; the process that made them.
_held: dict[str, set[Path]] = {}
_marks: set[Path] = set()
_holder = 0


def hold(mark: Path, oids: Iterable[str]) -> None:
    """Mark a pack that will be there, until a ref moves to one of its objects, or this process ends.

    Args:
        mark: the name of the mark, with which no gc deletes the pack.
        oids: those of its objects that a ref may move to.
    """
    global _holder  # noqa: PLW0603 - one table for the process
    if _holder != os.getpid():
        # Those of the process that this one was forked from are not its own.
        _held.clear()
        _marks.clear()
        _holder = os.getpid()
        atexit.register(_release_all, _holder)
    _remove_old_marks(mark.parent)
    mark.write_text(f"{_KEEP}\n")
    _marks.add(mark)
    for oid in oids:
        _held.setdefault(oid, set()).add(mark)


def _release_all(holder: int) -> None:
    if holder == os.getpid():
        release(set(_marks))


def release(marks: set[Path]) -> None:
    """Remove marks, so that git may put what the packs hold into others."""
    for oid in [oid for oid, holding in _held.items() if not marks.isdisjoint(holding)]:
        _held[oid] -= marks
        if not _held[oid]:
            del _held[oid]
    _marks.difference_update(marks)
    for mark in marks:
        with suppress(OSError):
            mark.unlink()


def marks_of(oids: Iterable[str]) -> set[Path]:
    """Return the marks of the packs that hold one of some objects."""
    if not _held or _holder != os.getpid():
        return set()
    reached = set(oids)
    return {mark for oid in reached & _held.keys() for mark in _held[oid]}


def _remove_old_marks(folder: Path) -> None:
    """Remove the marks of killed processes, so that git may delete their packs."""
    for path in folder.glob("pack-*.keep"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _KEEP_SECONDS and path.read_text().strip() == _KEEP:
                path.unlink()
