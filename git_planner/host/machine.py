"""This machine: its name, where it looks for programs, and its processes and memory as /proc shows them.

Reading /proc takes less than importing psutil, which other systems need.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


def host_name() -> str:
    """Return the name by which claims and runs tell machines apart."""
    return os.uname().nodename or "localhost"


def search_path() -> str:
    """Return PATH without its relative entries, which would be resolved in the tree."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if os.path.isabs(entry))


def own_program(name: str) -> str:
    """Return the path of one of our programs: the one beside this Python, since another PATH may lack it."""
    sibling = Path(sys.executable).with_name(name)
    return str(sibling) if sibling.exists() else shutil.which(name) or name


def rustup_home(path: str) -> Path | None:
    """Return the folder of the toolchains that rustup's stand-ins start; None without rustup.

    They look it up in HOME, which a measured program does not have.

    Args:
        path: the search path for programs, absolute entries only.
    """
    if shutil.which("rustup", path=path) is None:
        return None
    folder = Path(os.environ.get("RUSTUP_HOME") or os.path.expanduser("~/.rustup"))
    return folder if folder.is_absolute() and (folder / "toolchains").is_dir() else None


class ProcStat(NamedTuple):
    """State and start of a process; `ticks` is the start in clock ticks since the boot."""

    name: str
    state: str
    ticks: int

    @property
    def is_running(self) -> bool:
        """True unless it has ended and is only not yet waited for."""
        return self.state not in ("Z", "X")


def has_proc() -> bool:
    """Return whether this system shows its processes in /proc."""
    return os.path.exists("/proc/self/stat")


def read_stat(pid: int) -> ProcStat | None:
    """Return the state and start of a process; None without such a process."""
    with suppress(OSError, ValueError, IndexError):
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name of the program, in parentheses, may hold anything.
            head, _, tail = file.read().rpartition(b")")
        fields = tail.split()
        return ProcStat(os.fsdecode(head.partition(b"(")[2]), fields[0].decode(), int(fields[19]))
    return None


def program_of(pid: int) -> str:
    """Return the first argument of a process; empty when it has none, or cannot be read."""
    with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return os.fsdecode(file.read(64 * 1024).partition(b"\0")[0])
    return ""


def boot_time() -> float | None:
    """Return when this machine was started, in seconds since 1970; None if /proc does not say it."""
    with suppress(OSError, ValueError), open("/proc/stat", "rb") as file:
        for line in file:
            if line.startswith(b"btime "):
                return float(line.split()[1])
    return None


def available_memory() -> int | None:
    """Return the bytes that programs can still use without swapping; None if /proc does not say it."""
    with suppress(OSError, ValueError), open("/proc/meminfo", "rb") as file:
        for line in file:
            if line.startswith(b"MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None
