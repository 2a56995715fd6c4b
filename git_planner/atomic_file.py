"""Atomic file replacement: write a temporary file, then rename it. Imports little, for the hooks."""

from __future__ import annotations

import os
from _thread import get_ident
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


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
