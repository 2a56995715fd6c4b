"""Process identities: the one definition that claims, runs and locks use.

A process is its id, start time, boot of a machine, and PID namespace: ids are reused, and mean nothing in
another container. A process that cannot be seen from here is far, not dead.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from git_planner.boot import boot_id
from git_planner.host import machine as this_machine
from git_planner.host import marks, process
from git_planner.host.machine import host_name

if TYPE_CHECKING:
    import psutil

Sight = Literal["alive", "gone", "far"]
_CLOCK_TOLERANCE = 2.0
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process of one PID namespace of one boot of one machine.

    `create_time` in seconds since 1970; `boot` names the boot; `mark` is the one that process.run put
    into its environment, empty where unknown. `ticks` is its start in clock ticks since the boot, which no
    change of the clock moves; `namespace` names the PID namespace that its id is of, `machine` the machine.
    Documents of earlier versions lack these three.
    """

    pid: int
    create_time: float
    boot: str
    argv0: str
    mark: str = ""
    ticks: int = 0
    namespace: str = ""
    machine: str = ""

    def document(self) -> dict[str, Any]:
        """Return the identity as a JSON document."""
        return {name: value for name, value in asdict(self).items() if value or name not in _LATER}


def identity_from(document: Mapping[str, Any]) -> ProcessIdentity:
    """Read an identity back from its JSON document."""
    names = [name for name in ProcessIdentity.__dataclass_fields__ if name not in _LATER or name in document]
    return ProcessIdentity(**{name: document[name] for name in names})


def identity(pid: int, mark: str = "") -> ProcessIdentity | None:
    """Return the identity of a process; None when no process has that number."""
    boot_at = this_machine.boot_time() if this_machine.has_proc() else None
    if boot_at is not None:
        entry = this_machine.read_stat(pid)
        if entry is None:
            return None
        created = boot_at + entry.ticks / os.sysconf("SC_CLK_TCK")
        return _identity(pid, created, this_machine.program_of(pid) or entry.name, mark, entry.ticks)
    return _identity_by_psutil(pid, mark)


def _identity_by_psutil(pid: int, mark: str) -> ProcessIdentity | None:
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        with process.oneshot():
            argv = process.cmdline() or [process.name()]
            return _identity(pid, process.create_time(), argv[0], mark, 0)
    return None


def expected(argv0: str, mark: str) -> ProcessIdentity:
    """Return the identity of a program that is about to start: its mark alone identifies it."""
    return _identity(0, 0.0, argv0, mark, 0)


def sight(who: ProcessIdentity, host: str | None = None) -> Sight:
    """Return whether this very process runs, has ended, or cannot be seen from here; a zombie has ended.

    Args:
        who: the identity.
        host: the name of its host; this host when None.
    """
    is_same_host = host in (None, host_name())
    if who.boot != boot():
        # Only a restart of this very machine has ended it: containers and machines may share a name.
        is_restarted = who.machine == machine() != _UNKNOWN
        if not who.machine:
            is_restarted = who.create_time < _boot_time()
        return "gone" if is_same_host and is_restarted else "far"
    if who.namespace != namespace() and (who.namespace or not is_same_host):
        return "far"
    return "alive" if _runs(who) else "gone"


def alive(who: ProcessIdentity) -> bool:
    """Return whether this very process is seen to run; a zombie does not."""
    return sight(who) == "alive"


def living_pids(who: ProcessIdentity) -> list[int]:
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
    return boot_id() or f"{os.uname().nodename} {_boot_time():.0f}"


@cache
def namespace() -> str:
    """Return the name of this process's PID namespace; empty where there are none."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


@cache
def machine() -> str:
    """Return a name of this machine that hosts of one name do not share; 'unknown' where it has none."""
    with contextlib.suppress(OSError):
        text = Path("/etc/machine-id").read_bytes().strip()
        # The id itself is confidential, and claims are pushed.
        return sha256(b"git-planner" + text).hexdigest()[:16] if text else _UNKNOWN
    return _UNKNOWN


_LATER = ("ticks", "namespace", "machine")


def _identity(pid: int, create_time: float, argv0: str, mark: str, ticks: int) -> ProcessIdentity:
    # For people only; a claim is committed, and a document holds no bytes that are not UTF-8.
    shown = argv0.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return ProcessIdentity(pid, create_time, boot(), shown, mark, ticks, namespace(), machine())


def _boot_time() -> float:
    boot_at = this_machine.boot_time()
    if boot_at is not None:
        return boot_at
    import psutil

    return psutil.boot_time()


def _start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks since the boot; 0 where the system does not say."""
    entry = this_machine.read_stat(pid)
    return entry.ticks if entry is not None else 0


def _is_here(who: ProcessIdentity) -> bool:
    """Return whether process ids mean the same there and here."""
    return who.boot == boot() and who.namespace in ("", namespace())


def _runs(who: ProcessIdentity) -> bool:
    """Return whether this very process runs."""
    if not _is_here(who) or who.pid == 0:
        return False
    if who.ticks and this_machine.has_proc():
        entry = this_machine.read_stat(who.pid)
        return entry is not None and entry.ticks == who.ticks and entry.is_running
    return _process(who) is not None


def _process(who: ProcessIdentity) -> psutil.Process | None:
    import psutil

    if not _is_here(who) or who.pid == 0:
        return None
    with contextlib.suppress(psutil.Error):
        entry = psutil.Process(who.pid)
        if who.ticks:
            is_same = _start_ticks(who.pid) == who.ticks
        else:
            is_same = abs(entry.create_time() - who.create_time) <= _CLOCK_TOLERANCE
        if is_same and marks.alive(entry):
            return entry
    return None


def _left(who: ProcessIdentity) -> list[psutil.Process]:
    import psutil

    if not _is_here(who):
        return []
    processes = {entry.pid: entry for entry in (marks.related(who.mark) if who.mark else [])}
    if leader := _process(who):
        processes[leader.pid] = leader
        with contextlib.suppress(psutil.Error):
            processes |= {child.pid: child for child in leader.children(recursive=True)}
    processes.pop(os.getpid(), None)
    return list(processes.values())
