"""Objects that this process wrote and that no ref may reach yet, kept from a concurrent `git gc`.

Objects are written before a ref points to them. A `git gc --prune=now` that read the refs before that may
delete them at any time until it ends. So those that this process makes are remembered until a ref has moved
there, and are put into a pack while a gc runs: no gc deletes a pack that is marked to be kept, or that is
younger than the gc. Those that git itself makes are held in such packs from the beginning (`quarantine.py`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from git_planner.gitio.fresh.held_packs import marks_of, release
from git_planner.gitio.git import Batch, Git
from git_planner.gitio.git_failure import GitResult
from git_planner.gitio.repository import Repository

# Most memory for the content of fresh objects, and most objects.
MAX_BYTES, _MAX_OBJECTS = 64 * 2**20, 20_000
# Git itself ignores an older lock of a gc.
_GC_LOCK_SECONDS = 12 * 3600


class FreshObject(NamedTuple):
    """An object that this process wrote.

    Args:
        kind: 'commit', 'tree', 'blob' or 'tag'.
        links: returns the ids of the objects that it names.
        content: returns its bytes; None for a commit that can be made again.
        remake: writes the commit again, with the same id, by a git with the variables given.
        size: its size in memory, roughly.
        number: set by `remember`, and greater than that of every object before it.
    """

    kind: str
    links: Callable[[], Iterable[str]]
    content: Callable[[], bytes] | None
    remake: Callable[[Mapping[str, str]], object] | None = None
    size: int = 500
    number: int = 0


# By id, the oldest first. Ids are those of contents, so one table serves all repositories.
_fresh: dict[str, FreshObject] = {}
_size = _count = 0


def remember(oid: str, fresh: FreshObject) -> None:
    """Remember an object until a ref reaches it, or until there are too many."""
    global _size, _count  # noqa: PLW0603 - one table for the process
    forget([oid])
    _count += 1
    _fresh[oid] = fresh._replace(number=_count)
    _size += fresh.size
    while _size > MAX_BYTES or len(_fresh) > _MAX_OBJECTS:
        forget([next(iter(_fresh))])


def forget(oids: Iterable[str]) -> None:
    """Forget objects."""
    global _size  # noqa: PLW0603 - one table for the process
    for oid in oids:
        fresh = _fresh.pop(oid, None)
        _size -= fresh.size if fresh else 0


def needed_by(tips: Iterable[str]) -> dict[str, FreshObject]:
    """Return the fresh objects that the tips are or reach; each one before those that it names."""
    needed: dict[str, FreshObject] = {}
    waiting = list(tips)
    while waiting:
        oid = waiting.pop()
        fresh = _fresh.get(oid)
        if fresh is None or (oid in needed and fresh.kind != "commit"):
            continue
        # A commit that was reached before moves behind this child.
        needed.pop(oid, None)
        needed[oid] = fresh
        waiting += fresh.links()
    return needed


def count() -> int:
    """Return how many objects this process has written."""
    return _count


def is_one_missing(repo: Repository, batch: Batch, since: int) -> bool:
    """Return whether an object was deleted again that was written after the count was `since`."""
    newest = takewhile(lambda oid: _fresh[oid].number > since, reversed(list(_fresh)))
    return bool(missing(repo, batch, newest))


def move(
    repo: Repository, batch: Batch, tips: Collection[str], update: Callable[[], GitResult | None]
) -> GitResult | None:
    """Move refs to objects, and see that all that these need is there afterwards.

    Args:
        repo: the repository.
        batch: an open reader of it.
        tips: the objects that refs move to, fresh or not.
        update: moves the refs, and returns None on success.

    Returns:
        The result of `update`.
    """
    fresh = needed_by(tips)
    marks = _write_pack(repo.git, batch, fresh) if fresh and is_gc_running(repo.common) else set()
    try:
        result = update()
        if result is not None and restore_missing(repo.git, tips):
            result = update()
        if result is None:
            # In this order: when objects are looked for, no gc runs any more that read the refs before.
            is_threatened = fresh and not marks and is_gc_running(repo.common)
            if is_threatened or missing(repo, batch, fresh):
                marks |= _write_pack(repo.git, batch, fresh)
            marks |= marks_of({*tips, *(oid for entry in fresh.values() for oid in entry.links())})
            forget(fresh)
        return result
    finally:
        release(marks)


def restore_missing(git: Git, tips: Iterable[str]) -> bool:
    """Write fresh objects again that were deleted, where no gc deletes them; return whether any were.

    Args:
        git: the repository's git.
        tips: objects, fresh or not, with all that they need.
    """
    fresh = needed_by(tips)
    if not fresh:
        return False
    with git.batch() as batch:
        if all(batch.info(oid) for oid in fresh):
            return False
        _write_pack(git, batch, fresh)
    return True


def missing(repo: Repository, batch: Batch, oids: Iterable[str]) -> list[str]:
    """Return the ids of the objects that are neither loose nor packed."""
    folder = f"{repo.common}/objects"
    packed = [oid for oid in oids if not os.path.exists(f"{folder}/{oid[:2]}/{oid[2:]}")]
    return [oid for oid in packed if batch.info(oid) is None]


def is_gc_running(common: Path) -> bool:
    """Return whether a gc runs in a repository; in doubt, it does."""
    for lock in (common / "gc.pid", common / "objects/maintenance.lock"):
        with suppress(OSError):
            if time.time() - lock.stat().st_mtime < _GC_LOCK_SECONDS and not _is_stale(lock):
                return True
    return False


def _is_stale(lock: Path) -> bool:
    """Return whether the lock of a gc names a process of this machine that has ended."""
    pid, _, host = lock.read_text(errors="replace").strip().partition(" ")
    if not pid.isdigit() or host != os.uname().nodename:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass
    return False


def _write_pack(git: Git, batch: Batch, fresh: Mapping[str, FreshObject]) -> set[Path]:
    """Write fresh objects into a pack that no gc deletes; return its mark.

    Args:
        git: the repository's git.
        batch: an open reader of the repository.
        fresh: the objects, each one before those that it names.
    """
    contents = {
        oid: (entry.kind, entry.content()) for oid, entry in fresh.items() if entry.content is not None
    }
    for oid, entry in reversed(list(fresh.items())):
        if entry.remake is not None:
            contents[oid] = (entry.kind, _read_again(git, batch, oid, entry.remake, contents))
    return index_pack(git, contents)


def _read_again(
    git: Git,
    batch: Batch,
    oid: str,
    remake: Callable[[Mapping[str, str]], object],
    contents: Mapping[str, tuple[str, bytes]],
) -> bytes:
    """Read a commit, which is made again if it was deleted."""
    content = batch.read(oid)
    if content is not None:
        return content
    from git_planner.gitio.fresh.quarantine import quarantine

    with quarantine(git, joined=False) as place:
        # Git makes no commit of a tree or of parents that are missing.
        place.write_pack(contents)
        place.join()
        remake(place.env)
        return place.read(oid)


def index_pack(git: Git, contents: Mapping[str, tuple[str, bytes]]) -> set[Path]:
    """Store objects as a pack that no gc deletes until a ref reaches one: id -> kind and content.

    Returns:
        The mark of the pack.
    """
    from git_planner.gitio.fresh.quarantine import quarantine

    # Where git sees an object that is there already, it fails when a gc deletes that just then.
    with quarantine(git, joined=False) as place:
        place.write_pack(contents)
        return place.keep_packs(list(contents))
