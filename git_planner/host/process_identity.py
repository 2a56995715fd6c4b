"""Process identities that outlive restarts: process ids alone are reused."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from git_planner.host import process

if TYPE_CHECKING:
    import psutil

_CLOCK_TOLERANCE = 2.0


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process of one boot of one machine.

    `create_time` in seconds since 1970; `boot` names the boot; `mark` is the one that process.run put
    into its environment, empty where unknown.
    """

    pid: int
    create_time: float
    boot: str
    argv0: str
    mark: str = ""

    def document(self) -> dict[str, Any]:
        """Return the identity as a JSON document."""
        return asdict(self)


def identity_from(document: Mapping[str, Any]) -> ProcessIdentity:
    """Read an identity back from its JSON document."""
    return ProcessIdentity(**{name: document[name] for name in ProcessIdentity.__dataclass_fields__})


def identity(pid: int, mark: str = "") -> ProcessIdentity | None:
    """Return the identity of a process; None when no process has that number."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        entry = psutil.Process(pid)
        with entry.oneshot():
            argv = entry.cmdline() or [entry.name()]
            return ProcessIdentity(pid, entry.create_time(), boot(), argv[0], mark)
    return None


def expected(argv0: str, mark: str) -> ProcessIdentity:
    """Return the identity of a program that is about to start: its mark alone identifies it."""
    return ProcessIdentity(0, 0.0, boot(), argv0, mark)


def alive(who: ProcessIdentity) -> bool:
    """Return whether this very process still runs; a zombie does not."""
    return _process(who) is not None


def left(who: ProcessIdentity) -> list[int]:
    """Return the ids of this process and of the carriers of its mark, as far as they are alive."""
    return sorted(entry.pid for entry in _left(who))


def end(who: ProcessIdentity, grace: float = process.GRACE) -> list[int]:
    """End this process and its children after checking its identity; return their process ids.

    Args:
        who: an identity taken on this machine, in this boot or an earlier one.
        grace: seconds between SIGTERM and SIGKILL.
    """
    processes = _left(who)
    process.end(processes, grace)
    return sorted(entry.pid for entry in processes)


@cache
def boot() -> str:
    """Return the id of this boot of the machine."""
    import psutil

    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{os.uname().nodename} {psutil.boot_time():.0f}"


def _process(who: ProcessIdentity) -> psutil.Process | None:
    import psutil

    if who.boot != boot() or who.pid == 0:
        return None
    with contextlib.suppress(psutil.Error):
        entry = psutil.Process(who.pid)
        if abs(entry.create_time() - who.create_time) <= _CLOCK_TOLERANCE and process.alive(entry):
            return entry
    return None


def _left(who: ProcessIdentity) -> list[psutil.Process]:
    import psutil

    if who.boot != boot():
        return []
    processes = {entry.pid: entry for entry in (process.related(who.mark) if who.mark else [])}
    if leader := _process(who):
        processes[leader.pid] = leader
        with contextlib.suppress(psutil.Error):
            processes |= {child.pid: child for child in leader.children(recursive=True)}
    processes.pop(os.getpid(), None)
    return list(processes.values())
