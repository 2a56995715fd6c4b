"""Who works on an iteration: one process at a time, and no agent of a dead one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from git_planner.agents.run_program import PROCESS
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity
from git_planner.rules.documents import canonical_json

OWNER = "owner.json"


def log_folder(repo: Repository, number: int) -> Path:
    """The folder of an iteration's local logs."""
    return repo.private("runs", f"{number:04d}")


@contextmanager
def lock_iteration(repo: Repository, number: int) -> Iterator[None]:
    """Work on an iteration as the only process that does.

    Raises:
        PlannerError: E_BUSY when another process that still runs has it.
    """
    place = log_folder(repo, number) / OWNER
    place.parent.mkdir(parents=True, exist_ok=True)
    me = process_identity.identity(os.getpid())
    assert me is not None
    draft = place.with_name(f"{OWNER}.{os.getpid()}")
    mine = canonical_json.dumps(me.document())
    draft.write_bytes(mine)
    try:
        with _one_at_a_time(repo):
            _take(place, draft, number)
    finally:
        draft.unlink(missing_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):
            if place.read_bytes() == mine:
                place.unlink()


def lock_holder(repo: Repository, number: int) -> int | None:
    """The process that works on an iteration now, or None."""
    who = _read(log_folder(repo, number) / OWNER)
    return who.pid if who is not None and process_identity.alive(who) else None


def end_leftover_agents(repo: Repository, number: int) -> list[int]:
    """End what agents of a dead process still run for an iteration; return the process numbers."""
    ended: list[int] = []
    for file in sorted(log_folder(repo, number).rglob(PROCESS)):
        who = _read(file)
        if who is not None:
            ended += process_identity.end(who)
        file.unlink(missing_ok=True)
    return ended


def disk_use(path: Path) -> int:
    """Bytes that the files below a folder take; those that vanish meanwhile do not count."""
    total = 0
    for where, _, files in os.walk(path):
        for name in files:
            with suppress(OSError):
                total += (Path(where) / name).lstat().st_size
    return total


@contextmanager
def _one_at_a_time(repo: Repository) -> Iterator[None]:
    """Look who the owner is and take its place while nobody else does; else a dead one is found by two, and
    the second removes what the first has put there since.
    """
    with open(repo.private("owners.lock"), "ab") as file:
        # On a disk that knows no locks the link in `_take` still keeps out all but those two.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _take(place: Path, draft: Path, number: int) -> None:
    for _ in range(2):
        try:
            # A link appears with its content, and only where there is none.
            os.link(draft, place)
        except FileExistsError:
            who = _read(place)
            if who is not None and process_identity.alive(who):
                raise PlannerError(
                    "E_BUSY",
                    f"process {who.pid} works on iteration {number}",
                    hint="wait for it, or end it with Ctrl-C where it runs",
                ) from None
            place.unlink(missing_ok=True)
        else:
            return
    raise PlannerError(
        "E_BUSY", f"another process has just taken iteration {number}", hint="git iterate list"
    )


def _read(path: Path) -> process_identity.Identity | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        document: Any = canonical_json.loads_trusted(path.read_bytes())
        return process_identity.identity_from(document)
    return None
