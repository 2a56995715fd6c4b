"""Supervisor of a program: the parent of every process that the program leaves behind, until all have ended.

`host/start_program.py` calls `main` in a Python of its own. As a child subreaper it adopts a descendant whose
own parent has ended, whatever session, group and environment that descendant has. It ends them when the
program ends, when its own parent dies, and on SIGUSR1, then exits with the program's status, or with 128 plus
the signal that ended the program. Linux only, standard library only.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    # Each program waits for this start, and 'signal' imports 'enum', for 5 ms.
    import _signal as signal

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
# Sent by the parent, and by the kernel when the parent dies: end everything at once.
_END_NOW = signal.SIGUSR1
# A signal to the process group is meant for the program.
_FOR_THE_PROGRAM = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
# Python ignores these, and a program that it starts would, too.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
# Seconds that leftover processes have to exit on their own, and that killing may take: a process of another
# user cannot be killed.
_EXIT_GRACE_SECONDS, _KILL_SECONDS = 0.05, 10.0


def main(arguments: list[str]) -> int:
    """Run a program, and return its status when no process of it is left.

    Args:
        arguments: the process id of its parent, the seconds between SIGTERM and SIGKILL for what it leaves
            behind, then the program and its arguments.
    """
    parent, grace, command = int(arguments[0]), float(arguments[1]), arguments[2:]
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(_PR_SET_PDEATHSIG, _END_NOW, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {_END_NOW, signal.SIGCHLD})
    if os.getppid() != parent:
        return 128 + _END_NOW
    handled = [number for number in _FOR_THE_PROGRAM if signal.getsignal(number) is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, signal.SIG_IGN)
    try:
        program = os.posix_spawnp(
            command[0],
            command,
            _environment(),
            setsigmask=[],
            setsigdef=[*handled, *_IGNORED_BY_PYTHON],
        )
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    _close_streams()
    status = None
    while status is None and not _end_was_asked(1.0):
        status = _reap(program)
    end_descendants(grace if status is not None else 0.0)
    return 128 + _END_NOW if status is None else status


def end_descendants(grace: float) -> None:
    """End all descendants: wait for them, ask them to end, then kill them; at once without a grace."""
    if grace and not _wait_for_all(_EXIT_GRACE_SECONDS):
        _signal_descendants(signal.SIGTERM)
        _wait_for_all(grace)
    until = time.monotonic() + _KILL_SECONDS
    while _has_children() and time.monotonic() < until:
        _signal_descendants(signal.SIGKILL)
        _end_was_asked(0.005)


def _environment() -> dict[bytes, bytes]:
    """Return the environment as it was given: Python adds variables of its own in some locales."""
    with open("/proc/self/environ", "rb") as file:
        entries = [entry.partition(b"=") for entry in file.read().split(b"\0")]
    return {name: value for name, separator, value in entries if separator}


def _close_streams() -> None:
    """Leave the streams to the program, so that their other ends see its end."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)


def _end_was_asked(seconds: float) -> bool:
    """Wait for the end of a child, or for the order to end everything; return whether it was the order."""
    came = signal.sigtimedwait({_END_NOW, signal.SIGCHLD}, seconds)
    return came is not None and came.si_signo == _END_NOW


def _wait_for_all(seconds: float) -> bool:
    """Wait until no child is left, the time has passed, or the order to end came; return whether none is."""
    until = time.monotonic() + seconds
    while _has_children():
        if time.monotonic() >= until or _end_was_asked(0.01):
            return False
    return True


def _reap(program: int) -> int | None:
    """Collect the children that have ended; return the program's status if it is one of them."""
    status = None
    try:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == program:
                code = os.waitstatus_to_exitcode(ended[1])
                status = code if code >= 0 else 128 - code
    except ChildProcessError:
        pass
    return status


def _has_children() -> bool:
    """Collect the children that have ended; return whether any is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _signal_descendants(number: int) -> None:
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
    below = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    for pid in below - {os.getpid()}:
        try:
            os.kill(pid, number)
        except OSError:
            continue
