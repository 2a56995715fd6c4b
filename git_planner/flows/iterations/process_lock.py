"""Process lock of an iteration: one process at a time, and no leftover agent of a dead one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.folders import walk_files
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity
from git_planner.rules.documents import canonical_json

OWNER = "owner.json"


def log_folder(repo: Repository, number: int) -> Path:
    """Return the folder of an iteration's local logs."""
    return repo.private("runs", f"{number:04d}")


@contextmanager
def lock_iteration(repo: Repository, number: int) -> Iterator[None]:
    """Hold the process lock of an iteration.

    Raises:
        PlannerError: E_BUSY when another living process holds it.
    """
    owner_file = log_folder(repo, number) / OWNER
    owner_file.parent.mkdir(parents=True, exist_ok=True)
    identity = process_identity.identity(os.getpid())
    assert identity is not None
    draft = owner_file.with_name(f"{OWNER}.{os.getpid()}")
    content = canonical_json.dumps(identity.document())
    draft.write_bytes(content)
    # Locked for as long as its owner lives, which processes of other containers see, too.
    with open(draft, "rb") as held:
        atomic_file.lock_now(held)
        try:
            with _serialized(repo):
                _take_ownership(owner_file, draft, number)
        finally:
            draft.unlink(missing_ok=True)
        try:
            yield
        finally:
            with suppress(OSError):
                if atomic_file.read(owner_file) == content:
                    owner_file.unlink()


def lock_holder(repo: Repository, number: int) -> int | None:
    """Return the id of the process that holds the lock of an iteration, or None."""
    owner_file = log_folder(repo, number) / OWNER
    holder = _read_identity(owner_file)
    return holder.pid if holder is not None and _is_held(owner_file, holder) else None


def end_leftover_agents(repo: Repository, number: int) -> list[int]:
    """End leftover agent processes of an iteration; return their process ids."""
    from git_planner.agents.run_program import PROCESS

    ended: list[int] = []
    for file in sorted(log_folder(repo, number).rglob(PROCESS)):
        agent = _read_identity(file)
        if agent is not None:
            ended += process_identity.end(agent)
        file.unlink(missing_ok=True)
    return ended


def disk_use(path: Path) -> int:
    """Return the size in bytes of the files below a folder; ignore files that vanish meanwhile."""
    total = 0
    for entry in walk_files(path):
        with suppress(OSError):
            total += entry.stat(follow_symlinks=False).st_size
    return total


@contextmanager
def _serialized(repo: Repository) -> Iterator[None]:
    """Serialise taking ownership: otherwise two processes could find a dead owner, and the second would
    remove the first one's file.
    """
    with open(repo.private("owners.lock"), "ab") as file:
        # Without file locks the hard link in `_take_ownership` still excludes all but that race.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _take_ownership(owner_file: Path, draft: Path, number: int) -> None:
    for _ in range(2):
        try:
            atomic_file.claim(draft, owner_file)
        except FileExistsError:
            holder = _read_identity(owner_file)
            if holder is not None and _is_held(owner_file, holder):
                is_far = process_identity.sight(holder) == "far"
                place = " on another machine or in another container" if is_far else ""
                raise PlannerError(
                    "E_BUSY",
                    f"process {holder.pid}{place} is working on iteration {number}",
                    hint="wait for it, or end it with Ctrl-C where it runs",
                    details=[f"its lock is '{owner_file}'"] if is_far else [],
                ) from None
            owner_file.unlink(missing_ok=True)
        else:
            return
    raise PlannerError(
        "E_BUSY", f"another process has just taken iteration {number}", hint="git iterate list"
    )


def _is_held(owner_file: Path, holder: process_identity.ProcessIdentity) -> bool:
    """Return whether the owner of a lock lives, as far as that can be told."""
    holder_sight = process_identity.sight(holder)
    if holder_sight != "far":
        return holder_sight == "alive"
    if holder.boot != process_identity.boot():
        return True
    # One kernel holds the file locks of all its containers.
    with suppress(OSError), open(owner_file, "rb") as file:
        return not atomic_file.lock_now(file)
    return True


def _read_identity(path: Path) -> process_identity.ProcessIdentity | None:
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        document: Any = canonical_json.loads_trusted(atomic_file.read(path))
        return process_identity.identity_from(document)
    return None
