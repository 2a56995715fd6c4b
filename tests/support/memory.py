"""Memory for the scratch folders of the tests: a tmpfs, where the machine has one that will do."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path("/dev/shm")
# A run holds less than half of this at a time; a container's default of 64 MiB is too small.
_BYTES, _INODES = 2 << 30, 200_000


def memory_folder(folder: Path = FOLDER) -> Path | None:
    """Return a folder in memory that is large enough and lets programs be run, or None.

    Args:
        folder: the mount point to look at.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        return None
    disk = os.statvfs(folder)
    free, inodes = disk.f_bavail * disk.f_frsize, disk.f_favail or _INODES
    if disk.f_flag & os.ST_NOEXEC or free < _BYTES or inodes < _INODES:
        return None
    return folder
