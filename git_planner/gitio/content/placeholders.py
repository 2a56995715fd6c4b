"""Entries of a tree that stand for content which git does not hold here: LFS pointers and submodules."""

from __future__ import annotations

from typing import NamedTuple

from git_planner.gitio.export import GITLINK
from git_planner.gitio.git import read_objects
from git_planner.gitio.repository import Repository

_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
# A pointer is a few short lines; not more files of that size than this are read.
_POINTER_BYTES = range(100, 400)
_MAX_READ = 2000


class Placeholders(NamedTuple):
    """Paths of LFS pointers and of submodules, in the order of the tree."""

    pointers: tuple[str, ...]
    submodules: tuple[str, ...]

    def sentences(self) -> list[str]:
        """Return one sentence for each kind, naming a path."""
        sentences = []
        if self.pointers:
            count = len(self.pointers)
            sentences.append(f"LFS pointers stand for the content of '{self.pointers[0]}' ({count} in all)")
        if self.submodules:
            count = len(self.submodules)
            sentences.append(f"the submodule '{self.submodules[0]}' is an empty folder ({count} in all)")
        return sentences


def find_placeholders(repo: Repository, tree: str) -> Placeholders:
    """Return the LFS pointers and submodules of a commit or tree, as exporting it leaves them."""
    candidates: list[tuple[str, str]] = []
    submodules = []
    for line in repo.git.names("ls-tree", "-r", "-l", "-z", "--full-tree", tree):
        meta, path = line.split("\t", 1)
        mode, _, oid, size = meta.split()
        if mode == GITLINK:
            submodules.append(path)
        elif size.isdigit() and int(size) in _POINTER_BYTES and len(candidates) < _MAX_READ:
            candidates.append((path, oid))
    contents = read_objects(repo.git, [oid for _, oid in candidates]) if candidates else iter(())
    pointers = [
        path
        for (path, _), content in zip(candidates, contents, strict=True)
        if content is not None and content.startswith(_POINTER)
    ]
    return Placeholders(tuple(pointers), tuple(submodules))
