"""Files that are seen whole or not at all, whenever their writer is killed. Imports next to nothing."""

from __future__ import annotations

import os
from _thread import get_ident
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def write(path: str | Path, data: bytes, mode: int = 0o666) -> None:
    """Put a file in the place of another one, which a reader or a kill finds as it was until then.

    Args:
        path: the file; its folder is there.
        data: what it shall hold.
        mode: its permissions, less the umask.

    Raises:
        OSError: it cannot be written; the file is as it was, and no draft is left.
    """
    folder, name = os.path.split(path)
    # A thread has a draft of its own, and the next process of this number takes over what a killed one left.
    draft = os.path.join(folder, f".{name}.{os.getpid()}-{get_ident()}")
    try:
        with open(draft, "wb", opener=lambda place, flags: os.open(place, flags, mode)) as file:
            file.write(data)
        os.replace(draft, path)
    except OSError:
        with suppress(OSError):
            os.unlink(draft)
        raise
