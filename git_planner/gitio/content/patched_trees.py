"""Make the trees that patches lead to, from one base commit, without a worktree.

A patch comes from outside: it may be anything. No hook, filter or attribute is consulted, git's own checks of
paths are on for all file systems, and a fault concerns its patch only.
"""

from __future__ import annotations

import base64
import os
import posixpath
import re
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from git_planner.errors import PlannerError
from git_planner.gitio.fresh.quarantine import Quarantine, lost, quarantine
from git_planner.gitio.git import TIMED_OUT, Git, read_objects
from git_planner.gitio.git_failure import GitResult, failure, local_failure, missing_object, without_label
from git_planner.gitio.repository import Repository
from git_planner.owned_folder import owned_folder

MOST_PATCH_BYTES = 64 * 2**20
# A file that a binary patch makes may be no larger: git reserves the memory that the patch names.
_MOST_UNPACKED = 256 * 2**20
_SECONDS = 60.0
_MOST_WORKERS = 4
# An object that lay unused in the repository, and so was not written, may be deleted after all.
_MOST_TRIES = 5
_INDEX = "patch-index-"
# The person's configuration, and that of the repository, must not change what a patch leads to.
_SETTINGS = (
    *("apply.ignoreWhitespace=no", "core.protectHFS=true", "core.protectNTFS=true", "core.fsmonitor=false"),
    *("core.hooksPath=" + os.devnull, "core.splitIndex=false", "core.untrackedCache=false"),
    *("core.attributesFile=" + os.devnull, "core.sparseCheckout=false", "index.skipHash=true"),
)
# A block of a binary patch; git reads its number as strtoul does, and ignores the rest of the line.
_BINARY = re.compile(rb"(?m)^(literal|delta) [ \t\v\f\r]*([+-]?)(\d+)[^\n]*\n")
_LENGTHS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LARGEST = 2**64 - 1
# Two numbers of a delta's head have no more bytes than these.
_DELTA_HEAD = 32
_GITLINK, _SYMLINK = "160000", "120000"
_MOST_LINK_BYTES = 4096
# So many diffs are in memory at a time.
_AT_ONCE = 16
# Diffs that are read for patch ids at a time.
_MOST_DIFF_BYTES = 64 * 2**20
_PAIR = re.compile(r"([0-9a-f]{40,64}) ([0-9a-f]{40,64})\n")


class PatchedTree(NamedTuple):
    """A tree that a patch leads to, with the paths that it changes."""

    tree: str
    changes: tuple[CountedChange, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths that differ from the base."""
        return tuple(change.path for change in self.changes)

    @property
    def files(self) -> int:
        """The number of files that differ from the base."""
        return len(self.changes)

    @property
    def added(self) -> int:
        """The number of lines added."""
        return sum(change.added for change in self.changes)

    @property
    def removed(self) -> int:
        """The number of lines removed."""
        return sum(change.removed for change in self.changes)


class CountedChange(NamedTuple):
    """One path that differs between two trees: mode and blob in the second one, lines added and removed.

    The mode of a path that was removed is zero.
    """

    path: str
    mode: str
    oid: str
    added: int
    removed: int


def patched_trees(
    repo: Repository,
    base: str,
    patches: Iterable[bytes],
    *,
    seconds: float = _SECONDS,
    most_bytes: int = MOST_PATCH_BYTES,
) -> list[PatchedTree | PlannerError]:
    """Apply each of some patches to one commit, and return the trees.

    Args:
        repo: the repository.
        base: the commit.
        patches: unified git diffs; each is read when it is its turn.
        seconds: the deadline of one patch.
        most_bytes: the size limit of one patch.

    Returns:
        For each patch its tree, or the error why it has none: E_PATCH, E_DEADLINE, E_TOO_LARGE.

    Raises:
        PlannerError: E_GIT, E_NO_SPACE, E_UNWRITABLE: no patch can be applied here.
    """
    root = repo.resolve(base, "tree")
    results: list[PatchedTree | PlannerError] = []
    with (
        owned_folder(repo.private("patches"), _INDEX) as folder,
        quarantine(repo.git, repo.common) as place,
    ):
        index = _BaseIndex(repo, root, folder, place.env)
        workers = min(os.cpu_count() or 1, _MOST_WORKERS)
        copies = [folder / f"index{number}" for number in range(workers)]
        apply = partial(_applied, index, copies, seconds, most_bytes)
        with ThreadPoolExecutor(workers) as pool:
            for portion in _portions(patches):
                results += _kept_and_inspected(repo, place, root, partial(_apply_all, pool, apply), portion)
    return results


def _portions(patches: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield the patches in lists, so that not all are in memory."""
    portion: list[bytes] = []
    for patch in patches:
        portion.append(patch)
        if len(portion) >= _AT_ONCE or sum(map(len, portion)) >= MOST_PATCH_BYTES:
            yield portion
            portion = []
    if portion:
        yield portion


def _kept_and_inspected(
    repo: Repository,
    place: Quarantine,
    root: str,
    apply_all: Callable[[Sequence[bytes]], list[str | PlannerError]],
    patches: Sequence[bytes],
) -> list[PatchedTree | PlannerError]:
    """Apply patches in a quarantine, keep the trees and inspect them.

    Raises:
        PlannerError: E_CONFLICT if another process keeps deleting objects; others as `patched_trees`.
    """
    for _ in range(_MOST_TRIES):
        results = apply_all(patches)
        trees = list(dict.fromkeys(tree for tree in results if isinstance(tree, str)))
        if not trees or place.keep_trees(root, trees):
            return _inspected(repo.git, root, trees, results)
    raise lost()


def _apply_all(
    pool: ThreadPoolExecutor, apply: Callable[[bytes], str | PlannerError], patches: Sequence[bytes]
) -> list[str | PlannerError]:
    return list(pool.map(apply, patches))


def _applied(
    index: _BaseIndex, copies: list[Path], seconds: float, most_bytes: int, patch: bytes
) -> str | PlannerError:
    """Return the tree of a patch, or its error; the copy of the index that it uses is taken from a list."""
    copy = copies.pop()
    try:
        return index.apply(patch, copy, seconds, most_bytes)
    except PlannerError as error:
        if error.code not in ("E_PATCH", "E_DEADLINE", "E_TOO_LARGE"):
            raise
        return error
    finally:
        copies.append(copy)


def counted_trees(repo: Repository, base: str, trees: Sequence[str]) -> list[PatchedTree]:
    """Return trees that are there already, with the paths in which they differ from a commit."""
    root = repo.resolve(base, "tree")
    changes = tree_changes(repo.git, root, list(dict.fromkeys(trees)))
    return [PatchedTree(tree, tuple(changes[tree])) for tree in trees]


def patch_ids(
    repo: Repository, base: str, trees: Sequence[str], *, most: int = _MOST_DIFF_BYTES
) -> dict[str, str]:
    """Return the stable patch ids of the differences of some trees from a commit: tree -> id.

    A tree whose diff has more than `most` bytes has none.
    """
    root, distinct = repo.resolve(base, "tree"), list(dict.fromkeys(trees))
    numbers: dict[str, str] = {}
    for start in range(0, len(distinct), _AT_ONCE):
        portion = distinct[start : start + _AT_ONCE]
        ids = _patch_ids(repo, root, portion, most)
        if ids is None:
            # Together they are too large; one that is so alone has no id, and no twin but an equal tree.
            ids = {}
            for tree in portion:
                ids |= _patch_ids(repo, root, [tree], most) or {}
        numbers |= ids
    return numbers


def _patch_ids(repo: Repository, root: str, trees: Sequence[str], most: int) -> dict[str, str] | None:
    """Return the patch ids of a few trees; None if their diffs are larger than is read."""
    args = ("diff-tree", "--stdin", "-p", "--no-ext-diff", "--no-textconv", "--full-index", "--binary")
    # In the output, 'patch-id' takes the second tree for the commit.
    requests = [f"{root} {tree}" for tree in trees]
    diffs = repo.git.short_output(*args, "--ignore-submodules=none", most=most, lines=requests)
    if diffs is None:
        return None
    named = re.sub(rb"(?m)^[0-9a-f]{40,64} ([0-9a-f]{40,64})$", rb"commit \1", diffs)
    lines = repo.git.bytes("patch-id", "--stable", stdin=named).decode().splitlines()
    return {tree: number for number, tree in (line.split(" ") for line in lines)}


class _BaseIndex:
    """The index of one commit, read once and copied for each patch."""

    def __init__(self, repo: Repository, root: str, folder: Path, env: Mapping[str, str]) -> None:
        self._root, self._base, self._env = root, folder / "base", env
        files = folder / "files"
        files.mkdir()
        # The empty folder as the worktree: no file of a checkout gives attributes.
        prefix = (f"--git-dir={repo.common}", f"--work-tree={files}")
        self._git = Git((*prefix, *(word for name in _SETTINGS for word in ("-c", name))), files)
        self._git.bytes("read-tree", root, env=_index_variables(self._base))

    def apply(self, patch: bytes, copy: Path, seconds: float, most_bytes: int) -> str:
        """Return the tree that a patch leads to.

        Args:
            patch: the patch.
            copy: the file for a copy of the index, which no other thread uses.
            seconds, most_bytes: the limits of the patch.

        Raises:
            PlannerError: E_PATCH, E_DEADLINE, E_TOO_LARGE; E_GIT and others for faults of this machine.
        """
        _check_size(patch, most_bytes)
        # A git that exceeded its deadline leaves its lock.
        copy.with_name(copy.name + ".lock").unlink(missing_ok=True)
        env = {**self._env, **_index_variables(copy)}
        for _ in range(_MOST_TRIES):
            shutil.copyfile(self._base, copy)
            self._apply_once(patch, env, seconds)
            result = self._git.run("write-tree", env=env)
            if result.status == 0 or b"invalid object" not in result.stderr:
                break
        if result.status != 0:
            raise failure(("write-tree",), result, self._git.cwd)
        tree = result.stdout.decode().strip()
        if tree == self._root:
            raise PlannerError("E_PATCH", "the patch changes nothing", hint="drop it, or make it anew")
        return tree

    def _apply_once(self, patch: bytes, env: Mapping[str, str], seconds: float) -> None:
        args = ("apply", "--cached", "--whitespace=nowarn", "-")
        result = self._git.run(*args, stdin=patch, env=env, seconds=seconds)
        if result.status != 0:
            raise _unusable(args, result, seconds, self._git.cwd)


def _index_variables(index: Path) -> dict[str, str]:
    return {"GIT_INDEX_FILE": str(index), "GIT_ATTR_NOSYSTEM": "1"}


def _check_size(patch: bytes, most_bytes: int) -> None:
    if len(patch) > most_bytes:
        raise PlannerError(
            "E_TOO_LARGE",
            f"the patch has {len(patch):,} bytes; at most {most_bytes:,} are applied",
            hint="leave generated files out of it",
        )
    if not patch.strip():
        raise PlannerError("E_PATCH", "the patch is empty", hint="look at what its author reported")
    unpacked = sum(map(_unpacked_size, _BINARY.finditer(patch)))
    if unpacked > _MOST_UNPACKED:
        raise PlannerError(
            "E_TOO_LARGE",
            f"the patch makes binary files of {unpacked:,} bytes; at most {_MOST_UNPACKED:,} are unpacked",
            hint="leave large files out of it",
        )


def _unpacked_size(block: re.Match[bytes]) -> int:
    """Return the size of the file that a block of a binary patch makes, as the block itself says.

    A delta begins with the sizes of the file before and after, seven bits a byte.
    """
    # More digits than this make no difference, and Python refuses to convert thousands of them.
    size = min(int(block[3].lstrip(b"0")[:25] or b"0"), _LARGEST)
    if block[2] == b"-" and size:
        # In C, a negative number is a huge one.
        size = _LARGEST + 1 - size
    if block[1] == b"literal" or size > _MOST_UNPACKED:
        return size
    numbers, number, shift = [], 0, 0
    for byte in _delta_head(block.string, block.end()):
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number, shift = 0, 0
    return max(size, *numbers[1:2], 0)


def _delta_head(patch: bytes, start: int) -> bytes:
    """Return the first bytes of a delta, whose lines may each hold as little as one byte of it.

    Args:
        patch: the patch.
        start: the place of the first line: a letter for the number of bytes, and those in base 85.
    """
    stream, head = zlib.decompressobj(), b""
    with suppress(ValueError, zlib.error):
        while len(head) < _DELTA_HEAD and (end := patch.find(b"\n", start)) > start:
            line, start = patch[start:end], end + 1
            count = _LENGTHS.find(line[:1]) + 1
            head += stream.decompress(base64.b85decode(line[1:])[:count], _DELTA_HEAD)
    return head


def _unusable(args: tuple[str, ...], result: GitResult, seconds: float, cwd: Path) -> PlannerError:
    """Return the error for a patch that git did not apply."""
    if result.status == TIMED_OUT:
        return PlannerError(
            "E_DEADLINE",
            f"the patch could not be applied within {seconds:g} seconds",
            hint="look at its size",
        )
    special = local_failure(args, result, cwd)
    if special is not None:
        return special
    if b"unable to write" in result.stderr:
        return failure(args, result, cwd)
    lines = [without_label(line)[:200] for line in result.message.splitlines() if line.strip()]
    reason = lines[0] if lines else f"git ended with status {result.status}"
    if reason.startswith("No valid patches"):
        message = "the text is not a patch: it has no 'diff --git' with changes"
    else:
        message = f"the patch does not apply: {reason}"
    return PlannerError("E_PATCH", message, hint="compare the base that it was made from", details=lines[:20])


def _inspected(
    git: Git, root: str, distinct: Sequence[str], trees: Sequence[str | PlannerError]
) -> list[PatchedTree | PlannerError]:
    """Return each tree with its changes, or the error why it cannot be used."""
    changes = tree_changes(git, root, distinct)
    links = {change.oid: b"" for changed in changes.values() for change in changed if change.mode == _SYMLINK}
    oids = list(links)
    sizes = _sizes(git, oids)
    small = [oid for oid in oids if sizes.get(oid, 0) <= _MOST_LINK_BYTES]
    for oid, content in zip(small, read_objects(git, small), strict=True):
        if content is None:
            raise missing_object(oid)
        links[oid] = content
    return [
        tree if isinstance(tree, PlannerError) else _checked(tree, changes[tree], links) for tree in trees
    ]


def _checked(
    tree: str, changes: Sequence[CountedChange], links: Mapping[str, bytes]
) -> PatchedTree | PlannerError:
    fault = next((fault for change in changes if (fault := _fault(change, links))), None)
    if fault is None:
        return PatchedTree(tree, tuple(changes))
    return PlannerError("E_PATCH", f"the patch is refused: {fault}", hint="remove that file from it")


def _sizes(git: Git, oids: Sequence[str]) -> dict[str, int]:
    return {oid: info[2] for oid in oids if (info := git.batch().info(oid)) is not None}


def _fault(change: CountedChange, links: Mapping[str, bytes]) -> str | None:
    """Return the reason why a path may not be changed like this; None if it may."""
    path = change.path[:100]
    if change.mode == _GITLINK:
        return f"'{path}' is a submodule, whose commits cannot be checked"
    if change.mode == _SYMLINK and _leads_out(change.path, os.fsdecode(links[change.oid])):
        return f"the link '{path}' leads out of the repository"
    return None


def _leads_out(path: str, target: str) -> bool:
    """Return whether a link may lead out of the repository, also through other links.

    Behind a name, '..' leads to the parent of where another link leads, so it is only taken at the beginning.
    """
    place = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    first = place.split("/")[0]
    is_odd = not target or target.startswith("/") or first == ".." or first.lower() == ".git"
    names = [part for part in target.split("/") if part not in ("", ".")]
    beginning = next((count for count, part in enumerate(names) if part != ".."), len(names))
    return is_odd or ".." in names[beginning:]


def tree_changes(git: Git, root: str, trees: Sequence[str]) -> dict[str, list[CountedChange]]:
    """Return how each of some trees differs from another one, in one call of git."""
    requests = "".join(f"{root} {tree}\n" for tree in trees).encode()
    args = ("diff-tree", "--stdin", "-r", "--raw", "--numstat", "--no-abbrev", "--no-renames", "-z")
    output = git.bytes(*args, "--no-ext-diff", stdin=requests) if trees else b""
    changes: dict[str, list[CountedChange]] = {tree: [] for tree in trees}
    tree = ""
    kinds: dict[str, tuple[str, str]] = {}
    fields = iter(os.fsdecode(output).split("\0"))
    for field in fields:
        # The two trees stand before the first of their changes; equal ones have none.
        change = field
        while header := _PAIR.match(change):
            tree, kinds, change = header[2], {}, change[header.end() :]
        if change.startswith(":"):
            _, mode, _, oid, _ = change.split(" ")
            kinds[next(fields)] = (mode, oid)
        elif change:
            added, removed, path = change.split("\t", 2)
            lines = [int(number) if number.isdigit() else 0 for number in (added, removed)]
            changes[tree].append(CountedChange(path, *kinds[path], *lines))
    return changes
