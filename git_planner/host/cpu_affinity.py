"""One CPU for what is measured: which one, and starting a program there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def choose() -> int | None:
    """The CPU that this process's measurements run on, the same one each time; None where none can be chosen.

    Processes that measure at the same time are spread over the CPUs they may use by their numbers.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[os.getpid() % len(allowed)]


@contextmanager
def pinned(cpu: int | None) -> Iterator[Callable[[], None]]:
    """Let what this thread starts run on one CPU only, with all that it starts in turn.

    Args:
        cpu: its number; any when None.

    Yields:
        To be called when the program has been started: from then on the thread itself runs where it may.
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
