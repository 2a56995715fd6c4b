"""Marks in the environment of programs: they find the processes of a program wherever these went.

A process passes its environment on, so the mark of a program is in that of everything it starts.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

MARK = "GIT_PLANNER_MARK"


def new_mark() -> str:
    """Return a unique mark. Recorded before the start, it finds the program's processes in every case."""
    return os.urandom(16).hex()


def marked_environment(env: Mapping[str, str] | None, mark: str) -> dict[str, str]:
    """Return a complete environment, or that of this process, with a mark."""
    marked = dict(os.environ if env is None else env)
    # A nested run keeps the outer mark too, so that the outer run finds all its processes.
    marked[MARK] = f"{marked[MARK]}:{mark}" if marked.get(MARK) else mark
    return marked


def related(mark: str, session: int | None = None) -> list[psutil.Process]:
    """Return all living processes that carry a mark in their environment or belong to a session.

    The leader of the session is left out: it is the program itself.
    """
    return list(_living(_related_ids(mark, session)))


def wait_for_exit(mark: str, session: int, seconds: float) -> bool:
    """Wait for the related processes that exit on their own right after a program, as a sandbox's do.

    Returns:
        Whether none is left.
    """
    left, until = _related_ids(mark, session), time.monotonic() + seconds
    while left and time.monotonic() < until:
        time.sleep(0.001)
        left = [pid for pid in left if _is_running(pid)]
    return not left


def _related_ids(mark: str, session: int | None) -> list[int]:
    found = []
    for pid in _process_ids():
        if pid == session:
            continue
        with contextlib.suppress(OSError):
            if (session is not None and os.getsid(pid) == session) or mark in _marks(pid):
                found.append(pid)
    return found


def _is_running(pid: int) -> bool:
    """Return whether there is a process of this number that has not ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] != [b"Z"]
    except OSError:
        # Without /proc the number alone tells.
        return not os.path.isdir("/proc/self") and _is_taken(pid)


def _is_taken(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    return True


def _process_ids() -> list[int]:
    # Importing psutil takes longer than most programs; usually no process is left that it is needed for.
    if os.path.isdir("/proc/self"):
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    import psutil

    return psutil.pids()


def _living(pids: Sequence[int]) -> Iterator[psutil.Process]:
    """Yield those of some processes that are alive."""
    if pids:
        import psutil

        for pid in pids:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                if alive(process):
                    yield process


def alive(process: psutil.Process) -> bool:
    """Return whether this very process still runs; a zombie does not."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _marks(pid: int) -> list[str]:
    """Return the marks in a process's environment; none when this user may not read it."""
    prefix = f"{MARK}="
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = os.fsdecode(file.read()).split("\0")
    except FileNotFoundError:
        entries = [] if os.path.isdir("/proc/self") else [prefix + _environment_mark(pid)]
    marked = next((entry for entry in entries if entry.startswith(prefix)), prefix)
    # Compared as a whole: a part of a mark, or none at all, would name any process.
    return [mark for mark in marked.removeprefix(prefix).split(":") if mark]


def _environment_mark(pid: int) -> str:
    """Return the mark of a process on a system without /proc."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).environ().get(MARK, "")
    return ""
