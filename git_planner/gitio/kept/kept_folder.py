"""The measured folder of a repository, kept from one record to the next in the user's cache.

There is one a repository. It holds 'place', the folder itself, and beside it the manifest, which measured
code never sees; its seal is in the git directory. Both are removed before the folder is used, and written at
the end: what a killed program leaves has none, and is written anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from git_planner import atomic_file
from git_planner.folders import remove_folder, user_cache
from git_planner.gitio.kept.manifest import (
    Description,
    TreeManifest,
    read_description,
    read_manifest,
    write_manifest,
)
from git_planner.gitio.repository import Repository

_MANIFEST, _PLACE, _LOCK = "manifest", "place", ".lock"
# In the private folder of the git directory.
_SEAL = "kept-tree"
# Reading the files changes none of their times for as long; see `reused_export`.
MOST_SECONDS = 7 * 24 * 3600
_MOST_FOLDERS = 8
_MOST_BYTES = 10 * 1024**3
_BLOCK = 4096
# File systems of this machine, whose times and inodes can be relied on.
_LOCAL = {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "xfs", "zfs"}
_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class KeptTree:
    """A folder in the cache: of which repository, how many files and bytes, and when it was last used."""

    path: Path
    repository: str
    files: int
    size: int
    used: float


class KeptFolder:
    """The kept folder of one repository, while this process alone uses it."""

    def __init__(self, repo: Repository, top: Path) -> None:
        self._top, self._repository, self._seal = top, repo.common, repo.private(_SEAL)
        self._is_kept = False
        self.place = top / _PLACE

    def take(self) -> TreeManifest | None:
        """Return the manifest and remove it; None if the folder is not fit for use."""
        path = self._top / _MANIFEST
        manifest = read_manifest(path, self._seal, oldest=time.time() - MOST_SECONDS)
        try:
            self._seal.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        except OSError:
            return None
        return manifest

    def renew(self) -> Path:
        """Put an empty folder in place of the old one, which is removed at the end.

        Where many files were just removed, making new ones takes a multiple of the time.

        Raises:
            OSError: it cannot be made.
        """
        if os.path.lexists(self.place):
            os.rename(self.place, tempfile.mkdtemp(prefix="old-", dir=self._top) + "/place")
        self.place.mkdir(mode=0o700)
        return self.place

    def keep(self, manifest: TreeManifest) -> None:
        """Keep the folder for the next record, unless it takes too much of the disk."""
        sizes = [entry.size for entry in manifest.wanted.values()]
        size = sum(-(-length // _BLOCK) * _BLOCK for length in sizes)
        if size > min(_MOST_BYTES, shutil.disk_usage(self._top).free):
            return
        description = Description(os.fspath(self._repository), len(sizes), size)
        write_manifest(self._top / _MANIFEST, self._seal, manifest, description)
        self._is_kept = True

    def tidy(self) -> None:
        """Remove what is not kept."""
        kept = {_MANIFEST, _PLACE} if self._is_kept else set()
        for name in os.listdir(self._top):
            if name not in kept:
                _remove(self._top / name)
        if not kept:
            self._top.rmdir()


@contextmanager
def kept_folder(repo: Repository) -> Iterator[KeptFolder | None]:
    """Yield the kept folder of a repository; None where another process uses it, or none can be kept."""
    top = cache_folder()
    lock = None if top is None else top / (_name(repo) + _LOCK)
    if lock is None or (file := _locked(lock)) is None:
        yield None
        return
    with file:
        folder = lock.with_suffix("")
        if not _is_private(folder):
            yield None
            return
        kept = KeptFolder(repo, folder)
        try:
            yield kept
        finally:
            with suppress(OSError):
                kept.tidy()
                _trim()


def cache_folder() -> Path | None:
    """Return the folder with the kept ones, made if there is none; None where it cannot be relied on."""
    try:
        top = user_cache() / "trees"
        top.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    top = top.resolve()
    return top if _is_private(top) and _file_system(top) in _LOCAL else None


def kept_trees() -> list[KeptTree]:
    """Return all kept folders, the last used first."""
    trees = []
    top = cache_folder()
    for path in top.iterdir() if top is not None else ():
        if not path.name.endswith(_LOCK) and path.is_dir():
            description = read_description(path / _MANIFEST) or Description("", 0, 0)
            with suppress(OSError):
                used = (path / _MANIFEST if description.files else path).lstat().st_mtime
                trees.append(
                    KeptTree(path, description.repository, description.files, description.size, used)
                )
    return sorted(trees, key=lambda tree: tree.used, reverse=True)


def kept_tree_of(repo: Repository) -> KeptTree | None:
    """Return the kept folder of a repository."""
    return next((tree for tree in kept_trees() if tree.path.name == _name(repo)), None)


def remove_kept(tree: KeptTree) -> bool:
    """Remove a kept folder; return False if a process uses it."""
    lock = tree.path.with_name(tree.path.name + _LOCK)
    file = _locked(lock)
    if file is None:
        return False
    with file:
        (tree.path / _MANIFEST).unlink(missing_ok=True)
        remove_folder(tree.path)
        lock.unlink(missing_ok=True)
    return True


def _trim() -> None:
    """Remove kept folders that are old, and those beyond a number and a size."""
    total = 0
    for number, tree in enumerate(kept_trees()):
        total += tree.size
        if number >= _MOST_FOLDERS or total > _MOST_BYTES or tree.used < time.time() - MOST_SECONDS:
            remove_kept(tree)


def _name(repo: Repository) -> str:
    return hashlib.sha256(os.fsencode(os.path.realpath(repo.common))).hexdigest()[:16]


def _locked(path: Path) -> IO[bytes] | None:
    """Return a lock file that this process has locked; None if another has, or has just removed it."""
    with suppress(OSError), ExitStack() as on_failure:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        file = on_failure.enter_context(open(handle, "r+b"))
        if atomic_file.lock_now(file) and os.fstat(handle).st_ino == os.lstat(path).st_ino:
            on_failure.pop_all()
            return file
    return None


def _is_private(folder: Path) -> bool:
    """Return whether a folder, made if there is none, is this user's own and nobody else may write there."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = os.lstat(folder)
    except OSError:
        return False
    is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return is_own and not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def _file_system(path: Path) -> str:
    """Return the type of the file system that a folder is on, empty if it is not known."""
    kind, longest = "", -1
    with suppress(OSError, ValueError, IndexError):
        for line in _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            mount, _, source = line.partition(" - ")
            point = mount.split(" ")[4].replace("\\040", " ")
            if len(point) >= longest and path.is_relative_to(point):
                kind, longest = source.split(" ")[0], len(point)
    return kind


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_folder(path)
    else:
        path.unlink(missing_ok=True)
