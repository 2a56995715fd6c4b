"""CPU affinity of measurements: choose one CPU and start programs on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def choose() -> int | None:
    """Return the CPU for this process's measurements, always the same one; None without CPU affinity.

    Processes that measure at the same time are spread over the CPUs they may use by their numbers.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[os.getpid() % len(allowed)]


@contextmanager
def pinned(cpu: int | None) -> Iterator[Callable[[], None]]:
    """Run the programs that this thread starts, and their children, on one CPU only.

    Args:
        cpu: its number; None for any CPU.

    Yields:
        A function to call once the program has started; it restores the affinity of the thread itself.
    """
    if cpu is None:
        yield lambda: None
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})

    def free() -> None:
        os.sched_setaffinity(0, allowed)

    try:
        yield free
    finally:
        free()
