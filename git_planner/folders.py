"""Make, walk and remove folders that a program may have nested thousands deep, without recursion."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def user_cache() -> Path:
    """Return the folder for caches of this user; it may not exist.

    Raises:
        OSError: the user has no home folder, and XDG_CACHE_HOME names none.
    """
    from pathlib import Path

    # A relative path is ignored, as the specification of the variable wants it.
    named = os.environ.get("XDG_CACHE_HOME", "")
    folder = named if os.path.isabs(named) else os.path.expanduser("~/.cache")
    if not os.path.isabs(folder):
        raise FileNotFoundError(errno.ENOENT, "there is no home folder", folder)
    return Path(folder, "git-planner")


def make_folder(path: Path) -> None:
    """Create a folder with its parents; an existing one is no error.

    Raises:
        OSError: it cannot be created, such as a path beyond the system's limit of length.
    """
    missing = []
    folder = path
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)


def make_readable(path: Path, bits: int) -> bool:
    """Give the owner of a file or folder back the rights to read it; return whether that was possible."""
    with suppress(OSError):
        mode = os.lstat(path).st_mode
        needed = os.R_OK | os.X_OK if stat.S_ISDIR(mode) else os.R_OK
        if not stat.S_ISLNK(mode) and not os.access(path, needed):
            os.chmod(path, stat.S_IMODE(mode) | bits)
            return True
    return False


def walk_folders(top: str | Path) -> Iterator[str]:
    """Yield a folder and all folders below it; ignore those that cannot be read or have vanished."""
    folders = [os.fspath(top)]
    while folders:
        folder = folders.pop()
        with suppress(OSError):
            with os.scandir(folder) as entries:
                folders += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            yield folder


def walk_files(
    top: str | Path, *, skip: str | None = None, unread: list[str] | None = None
) -> Iterator[os.DirEntry[str]]:
    """Yield everything below a folder that is no folder itself, links to folders included.

    Args:
        top: the folder.
        skip: the name of folders to leave out.
        unread: gets the folders that cannot be read.
    """
    folders = [os.fspath(top)]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                listed = list(entries)
        except OSError:
            if unread is not None:
                unread.append(folder)
            continue
        for entry in listed:
            if not entry.is_dir(follow_symlinks=False):
                yield entry
            elif entry.name != skip:
                folders.append(entry.path)


def remove_folder(top: Path) -> None:
    """Remove a folder with all that is below, at any depth; what cannot be removed stays.

    Nested folders are moved up first, since the system refuses paths beyond a length. Folders that a program
    made unwritable are made writable.
    """
    if os.path.islink(top):
        return
    counter = 0
    folders = [os.fspath(top)]
    while folders:
        folder = folders.pop()
        with suppress(OSError):
            os.chmod(folder, stat.S_IRWXU)
            with os.scandir(folder) as entries:
                listed = list(entries)
            for entry in listed:
                with suppress(OSError):
                    if not entry.is_dir(follow_symlinks=False):
                        os.unlink(entry.path)
                        continue
                    if folder == os.fspath(top):
                        folders.append(entry.path)
                        continue
                    os.chmod(entry.path, stat.S_IRWXU)
                    counter += 1
                    moved = f"{os.fspath(top)}/.removed-{os.getpid()}-{counter}"
                    os.rename(entry.path, moved)
                    folders.append(moved)
            if folder != os.fspath(top):
                os.rmdir(folder)
    with suppress(OSError):
        os.rmdir(top)
