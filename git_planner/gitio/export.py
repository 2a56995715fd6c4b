"""Export the tree to measure: a candidate with the trusted base's guarded paths over it.

It is composed in an index of its own and written from git's objects, byte for byte: no filter, no attribute
of the candidate or of the person's configuration, no hook and no line-ending rule applies. The files on
the disk are exactly the content of the measured tree.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from git_planner.errors import PlannerError
from git_planner.folders import make_folder
from git_planner.gitio import history
from git_planner.gitio.fresh.fresh_objects import restore_missing
from git_planner.gitio.git import Git, read_objects
from git_planner.gitio.objects import TreeEntry, parse_tree, splice_entries
from git_planner.gitio.repository import Repository
from git_planner.owned_folder import temporary_folder

GITLINK = "160000"
SYMLINK = "120000"
# Objects are read in portions of this many files and bytes; git writes a larger file itself.
_PORTION_FILES, _PORTION_BYTES = 4096, 4 * 1024 * 1024
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_LITERAL = ":(top,literal)"
_Entries = dict[str, tuple[str, str]]
_Note = Callable[[str, int], None] | None


class Listed(NamedTuple):
    """An entry of a tree: mode, object id, repository path, and size in bytes."""

    mode: str
    oid: str
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Composed:
    """A tree to measure.

    `tree` is its id. `guarded` are the trusted base's guarded files, path -> (mode, object id); `submodules`
    are the guarded paths that are submodules, whose content git does not hold here.
    """

    tree: str
    guarded: Mapping[str, tuple[str, str]] = field(repr=False)
    submodules: tuple[str, ...]


def entries(repo: Repository, tree: str, pathspecs: Sequence[str]) -> _Entries:
    """Return the files of a commit or tree that match one of the patterns: path -> (mode, object id).

    No pattern matches nothing.
    """
    literal = [spec.removeprefix(_LITERAL) for spec in pathspecs if spec.startswith(_LITERAL)]
    if len(literal) == len(pathspecs):
        return {path: entry for top in literal for path, entry in _entries_below(repo, tree, top)}
    # ls-tree knows no glob patterns; a comparison with the empty tree does, and needs no index. Git knows the
    # empty tree without storing it.
    empty = hashlib.new(repo.object_format, b"tree 0\0").hexdigest()
    raw = repo.git.names(
        "diff-tree",
        "-r",
        "-z",
        "--raw",
        "--no-renames",
        "--no-abbrev",
        "--ignore-submodules=none",
        empty,
        tree,
        "--",
        *pathspecs,
    )
    files = {}
    for meta, path in zip(raw[::2], raw[1::2], strict=True):
        _, mode, _, oid, _ = meta.split(" ")
        files[path] = (mode, oid)
    return files


def _entries_below(repo: Repository, tree: str, top: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the files of one folder of a commit or tree, or the file of that name."""
    head, _, name = top.rpartition("/")
    waiting = [(head, f"{tree}:{head}", name)]
    while waiting:
        folder, object_name, only = waiting.pop()
        answer = repo.git.read_object("contents", object_name)
        if answer is None or answer[1] != "tree":
            continue
        for name, entry in parse_tree(answer[3], len(answer[0]) // 2).items():
            path = f"{folder}/{name}" if folder else name
            if only and name != only:
                continue
            if entry.kind == "tree":
                waiting.append((path, entry.oid, ""))
            else:
                yield path, (entry.mode, entry.oid)


def _changed_entries(
    repo: Repository, trusted: _Entries, base: str, candidate: str, guard: Sequence[str]
) -> _Entries:
    """Return the candidate's guarded files, from those of the base and the differences of the two."""
    own = dict(trusted)
    for change in history.changes(repo.git, base, candidate, guard):
        own.pop(change.path, None)
        if change.status != "D":
            own[change.path] = (change.new_mode, change.new)
    return own


def compose(
    repo: Repository, candidate: str, base: str, guard: Sequence[str], drop: Sequence[str] = ()
) -> Composed:
    """Compose the tree to measure.

    Args:
        candidate, base: names of commits or trees.
        guard: pathspecs of the guarded paths, which are taken from the base.
        drop: pathspecs of the paths to leave out.

    Returns:
        The tree; it is stored in the repository, but nothing points to it.
    """
    trusted = entries(repo, base, guard)
    own = _changed_entries(repo, trusted, base, candidate, guard)
    dropped = entries(repo, candidate, drop)
    removed = {path for path in own if own[path] != trusted.get(path)} | set(dropped)
    added = {path: entry for path, entry in trusted.items() if own.get(path) != entry or path in removed}
    tree = repo.resolve(candidate, "tree")
    if removed or added:
        edits = {path: TreeEntry(*added[path]) if path in added else None for path in (*removed, *added)}
        tree = splice_entries(repo.git, repo.git.batch(), tree, edits)
    submodules = tuple(path for path, (mode, _) in trusted.items() if mode == GITLINK)
    return Composed(tree, trusted, submodules)


@contextmanager
def exported(repo: Repository, tree: str, parent: Path | None = None) -> Iterator[Path]:
    """Export a tree to a temporary folder outside every repository; remove it afterwards in every case.

    The folder holds 'tree' (the files), 'home' and 'tmp' (both empty).

    Args:
        repo: the repository.
        tree: the tree or commit.
        parent: the folder to make it in (default: the system's folder for temporary files).

    Raises:
        PlannerError: E_EXPORT when an entry of the tree cannot be written, E_NO_SPACE.
    """
    with temporary_folder(parent) as place:
        for name in ("home", "tmp", "tree"):
            (place / name).mkdir()
        restore_missing(repo.git, [tree])
        write_out(repo.git, tree, place / "tree")
        yield place


def write_out(git: Git, tree: str, target: Path) -> None:
    """Write the files of a tree into an empty folder; a submodule becomes an empty folder.

    Raises:
        PlannerError: E_EXPORT, E_NO_SPACE.
    """
    write_entries(git, list_tree(git, tree), target)


def list_tree(git: Git, tree: str) -> list[Listed]:
    """Return the files, links and submodules of a tree.

    Raises:
        PlannerError: E_EXPORT for a name that no index would take.
    """
    listed = []
    for line in git.names("ls-tree", "-r", "-l", "-z", "--full-tree", tree):
        meta, path = line.split("\t", 1)
        mode, _, oid, length = meta.split()
        listed.append(Listed(mode, oid, checked_path(path), int(length) if length.isdigit() else 0))
    return listed


def write_entries(git: Git, entries: Iterable[Listed], target: Path, note: _Note = None) -> None:
    """Write entries of a tree into a folder in which nothing has their names.

    Args:
        git: git of the repository.
        entries: the entries.
        target: the folder.
        note: called with the path and the descriptor of each file after it was written.

    Raises:
        PlannerError: E_EXPORT, E_NO_SPACE.
    """
    target = target.resolve()
    # Links come last: nothing is ever written through one.
    listed = sorted(entries, key=lambda entry: entry.mode == SYMLINK)
    portion: list[tuple[str, str, str]] = []
    # Folders that are known to be there, before there is any link.
    made: set[str] = set()
    total = 0
    for mode, oid, path, size in listed:
        if size > _PORTION_BYTES and mode not in (SYMLINK, GITLINK):
            with _writing(path, target):
                _write_large(git, target, path, (mode, oid), note)
            continue
        if portion and (len(portion) == _PORTION_FILES or total + size > _PORTION_BYTES):
            _write_portion(git, portion, target, made, note)
            portion, total = [], 0
        portion.append((mode, oid, path))
        total += size
    _write_portion(git, portion, target, made, note)


def _write_portion(
    git: Git,
    listed: Sequence[tuple[str, str, str]],
    target: Path,
    made: set[str],
    note: _Note,
) -> None:
    contents = read_objects(git, (oid for mode, oid, _ in listed if mode != GITLINK))
    for mode, oid, path in listed:
        content = b"" if mode == GITLINK else next(contents)
        if content is None:
            raise unwritable(path, f"its object {oid} is missing")
        with _writing(path, target):
            folder = path.rpartition("/")[0]
            if folder not in made or mode in (SYMLINK, GITLINK):
                _make_parent(target / path, mode)
                made.add(folder)
            if mode == GITLINK:
                os.mkdir(f"{target}/{path}")
            elif mode == SYMLINK:
                os.symlink(content, os.fsencode(f"{target}/{path}"))
            else:
                _write_file(target, path, mode, content, note)


@contextmanager
def _writing(path: str, target: Path) -> Iterator[None]:
    """Turn what goes wrong while an entry is written into a PlannerError."""
    try:
        yield
    except FileExistsError:
        raise unwritable(path, "two entries have that name") from None
    except NotADirectoryError:
        raise unwritable(path, "a file is in its way") from None
    except ValueError:
        raise unwritable(path, "it is a link to a name with a NUL in it") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space(target) from None
        raise unwritable(path, (error.strerror or "no reason given").lower()) from None


def _write_large(git: Git, target: Path, path: str, entry: tuple[str, str], note: _Note) -> None:
    mode, oid = entry
    make_folder((target / path).parent)
    with _new_file(target / path, mode) as file:
        git.write_to(file, "cat-file", "blob", oid)
        if note is not None:
            note(path, file.fileno())


def _make_parent(place: Path, mode: str) -> None:
    # A broken tree may name a link and something below it; a file system may take two names for one.
    if mode == SYMLINK and os.path.realpath(place.parent) != os.fspath(place.parent):
        raise NotADirectoryError
    make_folder(place.parent)


def _write_file(target: Path, path: str, mode: str, content: bytes, note: _Note) -> None:
    # Not open(): that costs as much again for each of many files.
    file = os.open(f"{target}/{path}", _NEW, 0o755 if mode == "100755" else 0o644)
    try:
        while content:
            content = content[os.write(file, content) :]
        if note is not None:
            note(path, file)
    finally:
        os.close(file)


def _new_file(place: Path, mode: str) -> IO[bytes]:
    return open(os.open(place, _NEW, 0o755 if mode == "100755" else 0o644), "wb")


def checked_path(path: str) -> str:
    """Return a path of a tree. Git refuses some names in an index, but a hand-made tree object can hold them.

    Raises:
        PlannerError: E_EXPORT for such a name.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise unwritable(path, "the name is not allowed")
    return path


def unwritable(path: str, why: str) -> PlannerError:
    """Return the error for an entry that cannot be written."""
    return PlannerError(
        "E_EXPORT",
        f"{path!r} cannot be written out: {why}",
        hint="look at the commit with 'git fsck', and make it again without that path",
    )


def _no_space(target: Path) -> PlannerError:
    return PlannerError(
        "E_NO_SPACE",
        f"no space left for the files to measure in '{target.parent}'",
        hint="make room, or name another folder in TMPDIR",
    )
