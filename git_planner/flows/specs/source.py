"""Sources of a spec: the working tree, or a commit. Symlinks are not followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.gitio.git import Batch
from git_planner.gitio.objects import Tree, read_tree
from git_planner.gitio.repository import Repository
from git_planner.rules.specs.change import MAX_BYTES

# Bytes of a folder in a commit, which are mostly names: about 100,000 entries.
_FOLDER_BYTES = 8 * 1024 * 1024


class UnreadableError(Exception):
    """An existing file cannot be read as part of a spec; the message has the reason."""


class SpecSource(Protocol):
    """Files, by path from the top of the repository."""

    @property
    def label(self) -> str:
        """The name for messages: 'the working tree', or a ref and a commit."""

    def read(self, path: str) -> bytes | None:
        """Read a file of at most MAX_BYTES; None if it does not exist. Raises UnreadableError."""

    def names(self, folder: str) -> dict[str, bool]:
        """List the entries of a folder, and whether each is a folder; symlinks are left out.

        Raises:
            UnreadableError: the folder exists and cannot be listed.
        """


@dataclass(frozen=True, slots=True)
class WorkingTree:
    """The files of the working tree."""

    top: Path

    @property
    def label(self) -> str:
        """The name for messages."""
        return "the working tree"

    def read(self, path: str) -> bytes | None:
        """See SpecSource."""
        disk_path = self.safe_path(path)
        try:
            file_stat = os.lstat(disk_path)
            if not stat.S_ISREG(file_stat.st_mode):
                raise UnreadableError("is not a file")
            if file_stat.st_size > MAX_BYTES:
                raise UnreadableError(_size_fault(file_stat.st_size))
            return atomic_file.read(disk_path, MAX_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UnreadableError(f"cannot be read: {error.strerror}") from None

    def names(self, folder: str) -> dict[str, bool]:
        """See SpecSource."""
        try:
            with os.scandir(self.safe_path(folder)) as entries:
                return {
                    entry.name: entry.is_dir(follow_symlinks=False)
                    for entry in entries
                    if not entry.is_symlink()
                }
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise UnreadableError(f"cannot be read: {error.strerror}") from None

    def safe_path(self, path: str) -> Path:
        """Return the location of a path on disk.

        Raises:
            UnreadableError: the path contains a symlink, which may lead out of the repository.
        """
        place = self.top
        for part in path.split("/"):
            place = place / part
            if place.is_symlink():
                raise UnreadableError(
                    f"'{place.relative_to(self.top)}' is a symlink, and symlinks are not followed"
                )
        return place


@dataclass(frozen=True, slots=True)
class CommitSource:
    """The files of a commit. `name` is the ref it was resolved from."""

    batch: Batch
    oid: str
    name: str
    # Folder -> id of its tree: a path is followed step by step, as a name in it may be none for git.
    _trees: dict[str, str | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def label(self) -> str:
        """The name for messages."""
        return f"'{self.name}' at {self.oid[:12]}"

    def read(self, path: str) -> bytes | None:
        """See SpecSource."""
        folder, _, name = path.rpartition("/")
        entry = self._read_folder(folder).get(name)
        if entry is None:
            return None
        if entry.kind != "blob" or entry.mode == "120000":
            raise UnreadableError("is not a file")
        info = self.batch.info(entry.oid)
        if info is None:
            raise UnreadableError("is missing in this clone")
        if info[2] > MAX_BYTES:
            raise UnreadableError(_size_fault(info[2]))
        return self.batch.read(entry.oid)

    def names(self, folder: str) -> dict[str, bool]:
        """See SpecSource."""
        return {
            name: entry.kind == "tree"
            for name, entry in self._read_folder(folder).items()
            if entry.mode != "120000" and entry.kind != "commit"
        }

    def _read_folder(self, folder: str) -> Tree:
        tree = self._tree(folder)
        if tree is None:
            return {}
        info = self.batch.info(tree)
        if info is None:
            raise UnreadableError(f"'{folder}' is missing in this clone")
        if info[2] > _FOLDER_BYTES:
            raise UnreadableError(f"'{folder}' has more files than are listed")
        return read_tree(self.batch, info[0])

    def _tree(self, folder: str) -> str | None:
        """Return the tree of a folder; None if there is no such folder."""
        if not folder:
            return f"{self.oid}^{{tree}}"
        if folder not in self._trees:
            parent, _, name = folder.rpartition("/")
            entry = self._read_folder(parent).get(name)
            self._trees[folder] = entry.oid if entry and entry.kind == "tree" else None
        return self._trees[folder]


def _size_fault(size: int) -> str:
    return f"has {size:,} bytes; at most {MAX_BYTES:,} are read"


@contextmanager
def open_source(repo: Repository, ref: str | None) -> Iterator[SpecSource]:
    """Open the named commit, else the working tree.

    Raises:
        PlannerError: E_UNKNOWN_REF; E_USAGE where there is no working tree.
    """
    if ref is None:
        yield working_tree(repo)
        return
    oid = repo.resolve(ref)
    with repo.git.batch() as batch:
        yield CommitSource(batch, oid, ref)


def working_tree(repo: Repository) -> WorkingTree:
    """Return the working tree of a repository.

    Raises:
        PlannerError: E_USAGE where there is none.
    """
    if repo.top is None:
        raise PlannerError(
            "E_USAGE",
            f"'{repo.place}' is bare: it has no working tree",
            hint="name a commit to read, such as '--from main'",
        )
    return WorkingTree(repo.top)
