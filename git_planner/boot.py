"""The boot of the machine that a process runs on. Imports nothing of ours: whatever keeps a lock needs it."""

from __future__ import annotations

from functools import cache


@cache
def boot_id() -> str:
    """Return the kernel's id of this boot, which all its containers share; empty where it has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
