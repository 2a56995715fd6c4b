"""Which process is which, across restarts: a number alone says nothing, because numbers are used again."""

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
class Identity:
    """One process of one boot of one machine.

    `create_time` in seconds since 1970; `boot` names the boot; `mark` is what process.run put into its
    environment, empty where unknown.
    """

    pid: int
    create_time: float
    boot: str
    argv0: str
    mark: str = ""

    def document(self) -> dict[str, Any]:
        """The identity as JSON."""
        return asdict(self)


def identity_from(document: Mapping[str, Any]) -> Identity:
    """Read an identity back from what `Identity.document` gave."""
    return Identity(**{name: document[name] for name in Identity.__dataclass_fields__})


def identity(pid: int, mark: str = "") -> Identity | None:
    """Who a process is; None when there is none of that number."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        found = psutil.Process(pid)
        with found.oneshot():
            argv = found.cmdline() or [found.name()]
            return Identity(pid, found.create_time(), boot(), argv[0], mark)
    return None


def expected(argv0: str, mark: str) -> Identity:
    """Who a program will be that is about to be started: known by its mark alone."""
    return Identity(0, 0.0, boot(), argv0, mark)


def alive(who: Identity) -> bool:
    """Whether this very process still runs. A process that has only not been reaped does not."""
    return _process(who) is not None


def left(who: Identity) -> list[int]:
    """The numbers of this process and of all that carry its mark, as far as they are alive."""
    return sorted(each.pid for each in _left(who))


def end(who: Identity, grace: float = process.GRACE) -> list[int]:
    """End this process and what it started, after checking that it is the one; return their numbers.

    Args:
        who: an identity taken on this machine, in this boot or an earlier one.
        grace: seconds between the polite signal and the one that cannot be ignored.
    """
    found = _left(who)
    process.end(found, grace)
    return sorted(each.pid for each in found)


@cache
def boot() -> str:
    """A name for the time since this machine was started."""
    import psutil

    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{os.uname().nodename} {psutil.boot_time():.0f}"


def _process(who: Identity) -> psutil.Process | None:
    import psutil

    if who.boot != boot() or who.pid == 0:
        return None
    with contextlib.suppress(psutil.Error):
        found = psutil.Process(who.pid)
        if abs(found.create_time() - who.create_time) <= _CLOCK_TOLERANCE and process.alive(found):
            return found
    return None


def _left(who: Identity) -> list[psutil.Process]:
    import psutil

    if who.boot != boot():
        return []
    found = {each.pid: each for each in (process.related(who.mark) if who.mark else [])}
    if leader := _process(who):
        found[leader.pid] = leader
        with contextlib.suppress(psutil.Error):
            found |= {each.pid: each for each in leader.children(recursive=True)}
    found.pop(os.getpid(), None)
    return list(found.values())
