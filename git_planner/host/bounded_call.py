"""Call a function that reads hostile text in a child process, bounded in processor time, memory and time.

A regular expression of the policy may take for ever on the output of a candidate. Nothing within this process
could stop it; a child can be killed. It is a fork: the text is not copied, and it starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import resource
import selectors
import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
# Processor time decides, so that a busy machine refuses no result that an idle one accepts.
CPU_SECONDS = 10
# A backstop for a child that does not run at all.
_WALL_SECONDS = 20 * CPU_SECONDS
_MEMORY = 4 * 1024**3
# Exit statuses of a child without a result.
_DEFECT, _NO_MEMORY = 1, 2
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stopped:
    """The child was stopped, or ended without a result; `why` completes 'the reader …'."""

    why: str


def call(read: Callable[[], T], *, seconds: float = CPU_SECONDS) -> T | Stopped:
    """Return what a function returns, or `Stopped` if it exceeds a limit.

    Args:
        read: a function without effects, whose result can be pickled.
        seconds: the limit of processor time, if it is below ten seconds; rounded up to whole seconds.
    """
    cpu_seconds = math.ceil(min(seconds, CPU_SECONDS))
    source, sink = os.pipe()
    with warnings.catch_warnings():
        # Python warns of forks beside threads; the child uses nothing that another thread could hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _answer(read, sink, cpu_seconds)
    os.close(sink)
    answer = None
    try:
        answer = _read_until(source, time.monotonic() + _WALL_SECONDS)
    finally:
        os.close(source)
        if answer is None:
            os.kill(pid, signal.SIGKILL)
        status = _reap(pid)
    if answer is None or (not answer and -status in (signal.SIGXCPU, signal.SIGKILL)):
        return Stopped(f"took more than {cpu_seconds} seconds")
    if status == _DEFECT:
        return Stopped("failed, which is a defect of git-planner")
    if status != 0 or not answer:
        return Stopped("ended without a result, probably for lack of memory")
    result: T = pickle.loads(answer)
    return result


def _answer(read: Callable[[], object], sink: int, cpu_seconds: int) -> None:
    """Be the child: write the result and end, whatever happens, without the parent's own clean-up."""
    status = _DEFECT
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU):
            signal.signal(number, signal.SIG_DFL)
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_CPU, cpu_seconds)
        _limit(resource.RLIMIT_AS, _MEMORY)
        answer = memoryview(pickle.dumps(read()))
        while answer:
            answer = answer[os.write(sink, answer) :]
        status = 0
    except (MemoryError, RecursionError):
        status = _NO_MEMORY
    finally:
        os._exit(status)


def _limit(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
    # macOS refuses a limit of the address space below what is in use.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (soft, hard))


def _read_until(source: int, deadline: float) -> bytes | None:
    """Return all that the child writes; None at the deadline."""
    parts = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            data = os.read(source, _CHUNK)
            if not data:
                return bytes(parts)
            parts += data
    return None


def _reap(pid: int) -> int:
    """Return the exit status of the child, or minus its signal."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 0
