"""Files of this host: replaced atomically, locked, and read only if regular and of a sensible size.

Imports little, for the hooks.
"""

from __future__ import annotations

import errno
import os
import stat
from _thread import get_ident
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO, BinaryIO

# More than any file that this program writes for itself.
MAX_READ = 64 * 1024 * 1024
# Errors of link(2) on a file system, or in a sandbox, that has no hard links.
_NO_LINKS = {
    *(errno.EACCES, errno.EINVAL, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP),
    *(errno.EPERM, errno.EXDEV),
}


def claim(draft: str | Path, path: str | Path) -> None:
    """Give a complete file a name that nobody else has taken: of several processes one succeeds.

    Without hard links the name is taken by an empty file first, which the draft then replaces.

    Raises:
        FileExistsError: the name is taken.
        OSError: the file cannot be written.
    """
    try:
        # link(2) is atomic and fails if the file exists.
        os.link(draft, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        os.replace(draft, path)


def write(path: str | Path, data: bytes, mode: int = 0o666) -> None:
    """Replace a file atomically: readers see the old or the new content, even if the writer is killed.

    Args:
        path: the file; its folder exists.
        data: the new content.
        mode: its permissions, reduced by the umask.

    Raises:
        OSError: the file cannot be written; it is unchanged, and no temporary file is left.
    """
    folder, name = os.path.split(path)
    # One draft per thread; a later process of the same id overwrites the draft of a killed one.
    draft = os.path.join(folder, f".{name}.{os.getpid()}-{get_ident()}")
    try:
        with open(draft, "wb", opener=lambda place, flags: os.open(place, flags, mode)) as file:
            file.write(data)
        os.replace(draft, path)
    except OSError:
        with suppress(OSError):
            os.unlink(draft)
        raise


def lock_now(file: IO[bytes]) -> bool:
    """Lock an open file until it is closed; return False when another process holds it, or without flock."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def open_regular(path: str | Path) -> BinaryIO:
    """Open a regular file for reading. A pipe, which could block for ever, and a device are refused.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return open(handle, "rb")


def read(path: str | Path, limit: int = MAX_READ) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: it cannot be read, is not a regular file, or has more than `limit` bytes.
    """
    with open_regular(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"more than {limit:,} bytes", os.fspath(path))
    return data
