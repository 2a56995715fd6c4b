"""Files that a step made: check, move, copy and describe them. Links in them are never followed."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from git_planner.rules.policy.steps import HOME

# linux/fs.h: share the blocks of a file, where the file system can.
_FICLONE = 0x40049409


def place_path(place: Path, output: str) -> Path:
    """Return where an output is in a measured folder."""
    return place / "home" / output[len(HOME) :] if output.startswith(HOME) else place / "tree" / output


def check_made(place: Path, outputs: tuple[str, ...]) -> str | None:
    """Return what is wrong with the outputs that a step left, if anything."""
    for output in outputs:
        path = place_path(place, output)
        for folder in [*reversed(path.parents)][len(place.parts) :]:
            if not stat.S_ISDIR(_mode(folder)):
                return f"its output '{output}' is missing, or behind a link"
        mode = _mode(path)
        if mode == 0:
            return f"it ended, but its output '{output}' is missing"
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            return f"its output '{output}' is neither a file nor a folder"
        for entry, status in walk_entries(path):
            if not (
                stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)
            ):
                return f"its output '{output}' holds '{entry}', which is no file, folder or link"
    return None


def move_output(source: Path, target: Path) -> None:
    """Move an output to where it is kept, on the same file system."""
    mode = _mode(source)
    if stat.S_ISDIR(mode) and not mode & stat.S_IWUSR:
        # A folder that is moved gets a new '..', which needs the right to write to it.
        os.chmod(source, stat.S_IMODE(mode) | stat.S_IWUSR)
        os.rename(source, target)
        os.chmod(target, stat.S_IMODE(mode))
    else:
        os.rename(source, target)


def copy_output(source: Path, target: Path) -> None:
    """Copy an output into a measured folder; blocks are shared where the file system can.

    Raises:
        OSError: it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError, NotADirectoryError):
        # The empty folder of a submodule.
        os.rmdir(target)
    folders: list[tuple[str, os.stat_result]] = []
    for path, status in walk_entries(source):
        there = os.path.join(target, path) if path else os.fspath(target)
        here = os.path.join(source, path) if path else os.fspath(source)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(there, 0o700)
            folders.append((there, status))
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(here), there)
        else:
            _copy_file(here, there)
            os.chmod(there, stat.S_IMODE(status.st_mode))
            os.utime(there, ns=(status.st_atime_ns, status.st_mtime_ns))
    for there, status in reversed(folders):
        # What was made read-only is for the run to write to.
        os.chmod(there, stat.S_IMODE(status.st_mode) | stat.S_IRWXU)
        os.utime(there, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_file(source: str, target: str) -> None:
    with open(source, "rb") as old, open(target, "xb") as new:
        try:
            import fcntl

            fcntl.ioctl(new, _FICLONE, old.fileno())
        except (OSError, ImportError):
            shutil.copyfileobj(old, new, 1 << 20)


def walk_entries(top: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield an output itself, as '', and all that is below, each folder before its content, sorted."""
    status = os.lstat(top)
    yield "", status
    waiting = [""] if stat.S_ISDIR(status.st_mode) else []
    while waiting:
        folder = waiting.pop()
        with os.scandir(os.path.join(top, folder) if folder else top) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            path = f"{folder}/{entry.name}" if folder else entry.name
            status = entry.stat(follow_symlinks=False)
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                waiting.append(path)


class OutputState(NamedTuple):
    """State of outputs on the disk: a digest of what no program changes without a trace, files and bytes."""

    digest: str
    files: int
    size: int


def output_state(tops: list[Path]) -> OutputState:
    """Return the state of outputs, by what the file system says about them."""
    state, files, size = hashlib.sha256(), 0, 0
    for top in tops:
        for path, status in walk_entries(top):
            numbers = (
                status.st_ino,
                status.st_mode,
                status.st_uid,
                status.st_size,
                status.st_ctime_ns,
                status.st_mtime_ns,
            )
            state.update(f"{path}\0{numbers}\0".encode("utf-8", "surrogateescape"))
            files += 1
            size += status.st_blocks * 512
    return OutputState(state.hexdigest(), files, size)


def output_content(tops: list[Path]) -> str:
    """Return the digest of the names, modes and content of outputs."""
    state = hashlib.sha256()
    for top in tops:
        for path, status in walk_entries(top):
            here = os.path.join(top, path) if path else os.fspath(top)
            content = b""
            if stat.S_ISLNK(status.st_mode):
                content = os.fsencode(os.readlink(here))
            elif stat.S_ISREG(status.st_mode):
                with open(here, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").digest()
            state.update(f"{path}\0{status.st_mode}\0".encode("utf-8", "surrogateescape"))
            state.update(hashlib.sha256(content).digest())
    return state.hexdigest()


def _mode(path: Path) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        return 0
