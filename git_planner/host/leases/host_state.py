"""State of this host: load, CPUs that this process may use, available memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from git_planner.host import machine
from git_planner.rules.board.admission import HostState

_GIB = 1024**3
_CGROUP = Path("/sys/fs/cgroup")


def read_state() -> HostState:
    """Read the state of this host; within a container with a limit of memory, what is left of that."""
    load = None
    with suppress(OSError, AttributeError):
        load = os.getloadavg()[0]
    limits = [amount for amount in (_available(), _left_in_cgroup(_CGROUP)) if amount is not None]
    return HostState(load, cpu_count(), min(limits) / _GIB if limits else None)


def cpu_count() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _available() -> int | None:
    available = machine.available_memory()
    if available is not None:
        return available
    import psutil

    with suppress(OSError, psutil.Error):
        return int(psutil.virtual_memory().available)
    return None


def _left_in_cgroup(folder: Path) -> int | None:
    """Return the bytes below the memory limit of a control group of version 2; None without a limit."""
    with suppress(OSError, ValueError):
        limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return max(0, int(limit) - int(used))
    return None
