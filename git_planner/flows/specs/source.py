"""Where a spec is read: the files of the working tree, or those of a commit. No link is followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from git_planner.errors import PlannerError
from git_planner.gitio.git import Batch
from git_planner.gitio.objects import read_tree
from git_planner.gitio.repository import Repository
from git_planner.rules.specs.change import MAX_BYTES


class UnreadableError(Exception):
    """A file that is there and cannot be read as a part of a spec; its text says why."""


class Source(Protocol):
    """Files by their path from the top of the repository."""

    @property
    def words(self) -> str:
        """What to call it: 'the working tree', or a name and a commit."""

    def read(self, path: str) -> bytes | None:
        """The content of a file of at most MAX_BYTES; None when there is none. Raises UnreadableError."""

    def names(self, folder: str) -> dict[str, bool]:
        """What is directly in a folder, and whether it is a folder itself; links are left out."""


@dataclass(frozen=True, slots=True)
class WorkingTree:
    """The files as they lie on the disk."""

    top: Path

    @property
    def words(self) -> str:
        """What to call it."""
        return "the working tree"

    def read(self, path: str) -> bytes | None:
        """As Source has it."""
        where = self.checked(path)
        try:
            found = os.lstat(where)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableError("is no file")
        if found.st_size > MAX_BYTES:
            raise UnreadableError(_too_large(found.st_size))
        try:
            return where.read_bytes()
        except OSError as error:
            raise UnreadableError(f"cannot be read: {error.strerror}") from None

    def names(self, folder: str) -> dict[str, bool]:
        """As Source has it."""
        try:
            with os.scandir(self.checked(folder)) as found:
                return {
                    each.name: each.is_dir(follow_symlinks=False) for each in found if not each.is_symlink()
                }
        except (FileNotFoundError, NotADirectoryError, UnreadableError):
            return {}

    def checked(self, path: str) -> Path:
        """The place of a path on the disk.

        Raises:
            UnreadableError: a link is on the way; it may lead out of the repository.
        """
        where = self.top
        for part in path.split("/"):
            where = where / part
            if where.is_symlink():
                raise UnreadableError(
                    f"'{where.relative_to(self.top)}' is a link, and links are not followed"
                )
        return where


@dataclass(frozen=True, slots=True)
class Commit:
    """The files of a commit. `name` is what it was found by."""

    batch: Batch
    oid: str
    name: str

    @property
    def words(self) -> str:
        """What to call it."""
        return f"'{self.name}' at {self.oid[:12]}"

    def read(self, path: str) -> bytes | None:
        """As Source has it."""
        folder, _, name = path.rpartition("/")
        entry = read_tree(self.batch, f"{self.oid}:{folder}").get(name)
        if entry is None:
            return None
        if entry.kind != "blob" or entry.mode == "120000":
            raise UnreadableError("is no file")
        found = self.batch.info(entry.oid)
        if found is None:
            raise UnreadableError("is missing in this clone")
        if found[2] > MAX_BYTES:
            raise UnreadableError(_too_large(found[2]))
        return self.batch.read(entry.oid)

    def names(self, folder: str) -> dict[str, bool]:
        """As Source has it."""
        tree = read_tree(self.batch, f"{self.oid}:{folder}")
        return {
            name: entry.kind == "tree"
            for name, entry in tree.items()
            if entry.mode != "120000" and entry.kind != "commit"
        }


def _too_large(size: int) -> str:
    return f"has {size:,} bytes; at most {MAX_BYTES:,} are read"


@contextmanager
def opened(repo: Repository, ref: str | None) -> Iterator[Source]:
    """The source that is meant: a commit when one is named, else the working tree.

    Raises:
        PlannerError: E_UNKNOWN_REF; E_USAGE where there is no working tree.
    """
    if ref is None:
        yield working_tree(repo)
        return
    oid = repo.resolve(ref)
    with repo.git.batch() as batch:
        yield Commit(batch, oid, ref)


def working_tree(repo: Repository) -> WorkingTree:
    """The working tree of a repository.

    Raises:
        PlannerError: E_USAGE where there is none.
    """
    if repo.top is None:
        raise PlannerError(
            "E_USAGE",
            f"'{repo.place}' is bare: it has no working tree with a spec in it",
            hint="name a commit to read, such as '--from main'",
        )
    return WorkingTree(repo.top)
