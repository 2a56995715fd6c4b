"""The folder that commands are measured in, written once and put right before each further run.

Writing a tree takes as long as checking it out, and a noisy metric needs eighty runs. So a folder is used
again, and the check takes its place: whatever differs from how it was written, in inode, mode, owner, links,
size, or in one of its times, is removed and written anew. No program can set the time of an inode's last
change (ctime), and the folder is only given away when the clock has gone on since it was written. The other
times are compared, too, so that no run leaves a note for the next one: reading changes none, since the time
of the last access is in the future. Where a write through a mapping changes no time, as on tmpfs, each run
gets a folder of its own.

It is for commands in a process namespace alone: what outlived a run could write after the check.

A folder may be kept for the next record (`gitio/kept`). An entry that was written again shows it by its inode
and the time of its last change, and a program could write a note for the next candidate in that. So a folder
is kept only if no run has changed more than the top folder, which each record makes anew.
"""

from __future__ import annotations

import mmap
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from operator import attrgetter
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.folders import remove_folder
from git_planner.gitio import history
from git_planner.gitio.export import (
    GITLINK,
    SYMLINK,
    Listed,
    checked_path,
    exported,
    list_tree,
    unwritable,
    write_entries,
)
from git_planner.gitio.fresh.fresh_objects import restore_missing
from git_planner.gitio.kept.kept_folder import MOST_SECONDS, KeptFolder, kept_folder
from git_planner.gitio.kept.manifest import TreeManifest
from git_planner.gitio.repository import Repository
from git_planner.owned_folder import temporary_folder

# A read changes a time of access that is more than a day past. One in the future lasts as long as a folder.
_ACCESSED = (MOST_SECONDS + 2 * 3600) * 10**9
_SETTLE_SECONDS = 0.5
# Differences of two trees that are asked for one by one.
_FEW = 512


# What a run cannot change of an entry without a trace. A folder keeps the first four, whatever is made in it.
_State = tuple[int, ...]
_of = attrgetter(
    *("st_ino", "st_mode", "st_uid", "st_gid", "st_nlink", "st_size", "st_ctime_ns", "st_mtime_ns"),
    "st_atime_ns",
)
_FOLDER = slice(0, 4)
_MODE, _CHANGED = 1, 6


class ReusedExport:
    """A folder with the files of one tree at a time, for one run after the other.

    Args:
        repo: the repository of the trees.
        reuse: whether a folder may be used again, also in the next record; otherwise each run gets its own.
        parent: the folder to make it in; it is not kept for the next record then.
    """

    def __init__(self, repo: Repository, *, reuse: bool, parent: Path | None = None) -> None:
        self._repo, self._reuse, self._parent = repo, reuse, parent
        self._forget_all()

    def _forget_all(self) -> None:
        self._stack = ExitStack()
        self._kept: KeptFolder | None = None
        self._place: Path | None = None
        self._tree, self._made = "", 0.0
        # Whether an entry shows that a run has changed it.
        self._is_marked = False
        self._wanted: dict[str, Listed] = {}
        self._folders: set[str] = set()
        self._states: dict[str, _State] = {}
        # The same by folder and name, since a folder is compared as a whole.
        self._below: dict[str, dict[str, _State]] = {}

    def close(self) -> None:
        """Keep the folder for the next record if it is fit for that, or remove it."""
        with self._stack:
            kept = self._kept
            if kept is not None and self._place == kept.place and self._reuse and not self._is_marked:
                with suppress(OSError):
                    self._clear()
                    self._clear_top()
                    kept.keep(TreeManifest(self._tree, self._made, self._wanted, self._states))
        self._forget_all()

    def _discard(self) -> None:
        """Remove the folder."""
        with self._stack:
            self._forget_all()

    @contextmanager
    def holding(self, tree: str) -> Iterator[Path]:
        """Yield a folder that holds 'tree' (the files of the tree), 'home' and 'tmp' (both empty).

        Raises:
            PlannerError: E_EXPORT, E_NO_SPACE.
        """
        if not self._reuse:
            with exported(self._repo, tree, self._parent) as place:
                yield place
            return
        with ExitStack() as on_error:
            on_error.callback(self._discard)
            if self._place is None or not self._put_right(tree):
                self._discard()
                place = self._open(tree)
            else:
                place = self._place
            on_error.pop_all()
        yield place

    def _open(self, tree: str) -> Path:
        """Return the folder of the last record, put right, or a new one."""
        if self._parent is None:
            self._kept = self._stack.enter_context(kept_folder(self._repo))
        if self._kept is not None and (manifest := self._kept.take()) is not None:
            self._tree, self._made, self._place = manifest.tree, manifest.made, self._kept.place
            self._wanted, self._folders = manifest.wanted, _folders_of(manifest.wanted)
            for path, state in manifest.states.items():
                self._set(path, state)
            if self._put_right(tree, is_first=True):
                return self._place
        place = None
        if self._kept is not None:
            with suppress(OSError):
                place = self._kept.renew()
        self._write(tree, place or self._stack.enter_context(temporary_folder(self._parent)))
        return self._top.parent

    def _write(self, tree: str, place: Path) -> None:
        """Write a tree into an empty folder."""
        for name in ("home", "tmp", "tree"):
            (place / name).mkdir()
        self._place, self._tree, self._made, self._wanted = place, "", time.time(), {}
        self._states, self._below = {}, {}
        self._list(tree)
        self._write_missing()
        # A file system without such times cannot be checked.
        self._reuse = self._settle() and self._shows_mapped_writes()

    def _put_right(self, tree: str, *, is_first: bool = False) -> bool:
        """Make the folder as if it were new; return False if it cannot be trusted any more.

        Args:
            tree: the tree that it has to hold.
            is_first: whether it comes from an earlier record, whose runs changed its top folder at most.
        """
        try:
            self._clear()
            known = len(self._states)
            touched, changed = self._check_folders()
            if any(touched) or len(self._states) < known:
                self._is_marked = True
            if is_first:
                if self._is_marked or not self._has_usual_mode():
                    return False
                touched.add("")
            changed |= self._move(tree) | _with_parents(touched)
            touched = {folder for folder in touched if not folder or folder in self._states}
            for folder in touched:
                self._renew(folder)
                changed.update(self._path(folder, name) for name in self._below.get(folder, ()))
            self._note(path for path in changed if not path or path in self._states)
            self._write_missing()
            return self._settle()
        except OSError:
            return False

    def _has_usual_mode(self) -> bool:
        """Return whether folders that are made now have the mode of the old ones."""
        assert self._place is not None
        return os.lstat(self._place / "home").st_mode == self._states[""][_MODE]

    @property
    def _top(self) -> Path:
        assert self._place is not None
        return self._place / "tree"

    def _clear(self) -> None:
        """Remove all that runs left beside the files."""
        assert self._place is not None
        with os.scandir(self._place) as entries:
            others = [entry.path for entry in entries if entry.name != "tree"]
        for path in others:
            _remove(path)
        for name in ("home", "tmp"):
            (self._place / name).mkdir()

    def _clear_top(self) -> None:
        """Remove what the last run left in the top folder: it is not for the disk of the user's cache."""
        with os.scandir(self._top) as entries:
            others = [entry.path for entry in entries if entry.name not in self._states]
        for path in others:
            _remove(path)

    def _list(self, tree: str) -> None:
        """List what the folder has to hold.

        Raises:
            PlannerError: E_EXPORT.
        """
        restore_missing(self._repo.git, [tree])
        self._wanted = self._differing(tree) or _by_path(list_tree(self._repo.git, tree))
        self._folders = _folders_of(self._wanted)
        self._tree = tree

    def _differing(self, tree: str) -> dict[str, Listed] | None:
        """Return the entries of a tree by its differences from the last one; None if these are many."""
        if not self._tree:
            return None
        try:
            changes = history.changes(self._repo.git, self._tree, tree)
        except PlannerError:
            # The last tree may be gone, since nothing else needs it.
            return None
        if len(changes) > _FEW:
            return None
        wanted = dict(self._wanted)
        objects = self._repo.git.batch()
        for change in changes:
            wanted.pop(change.path, None)
            if change.status != "D":
                info = objects.info(change.new) if change.new_mode != GITLINK else None
                size = info[2] if info else 0
                wanted[change.path] = Listed(change.new_mode, change.new, checked_path(change.path), size)
        return wanted

    def _check_folders(self) -> tuple[set[str], set[str]]:
        """Remove what is not as it was written.

        Returns:
            The folders in which a run has changed something, and those in which something was removed here.
        """
        top = str(self._top)
        state = _of(os.lstat(top))
        if self._states[""][_FOLDER] != state[_FOLDER]:
            raise NotADirectoryError
        touched: set[str] = set() if state == self._states[""] else {""}
        changed: set[str] = set()
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            with os.scandir(f"{top}/{folder}") as entries:
                states = {entry.name: _of(entry.stat(follow_symlinks=False)) for entry in entries}
            known = self._below.get(folder, {})
            if states != known:
                touched |= self._compare(folder, states)
                changed.add(folder)
            waiting += [self._path(folder, name) for name, state in known.items() if _is_folder(state)]
        return touched, changed

    def _compare(self, folder: str, states: dict[str, _State]) -> set[str]:
        """Remove the entries of a folder that are not as they were written; return folders that changed."""
        known = self._below.get(folder, {})
        touched = set()
        for name, state in states.items():
            path, before = self._path(folder, name), known.get(name)
            if state == before:
                continue
            if before is not None and _is_folder(before) and state[_FOLDER] == before[_FOLDER]:
                touched.add(path)
            else:
                _remove(f"{self._top}/{path}")
                self._forget(path)
        for name in known.keys() - states.keys():
            self._forget(self._path(folder, name))
        return touched

    def _move(self, tree: str) -> set[str]:
        """Remove what another tree does not have; return the folders of that."""
        if tree == self._tree:
            return set()
        before, folders = self._wanted, self._folders
        self._list(tree)
        gone = [path for path, entry in before.items() if self._wanted.get(path) != entry]
        changed = set()
        for path in (*gone, *(folders - self._folders)):
            if path in self._states:
                _remove(f"{self._top}/{path}")
                self._forget(path)
                changed.add(_parent(path))
        return changed

    def _write_missing(self) -> None:
        """Write the files that are not there, and note how they and their folders are."""
        missing = [entry for path, entry in self._wanted.items() if path not in self._states]
        # Both times are the same for all of them.
        now = time.time_ns()
        times = (now + _ACCESSED, now)

        def note(path: str, file: int) -> None:
            os.utime(file, ns=times)
            self._set(path, _of(os.fstat(file)))

        write_entries(self._repo.git, missing, self._top, note)
        links = {entry.path for entry in missing if entry.mode in (SYMLINK, GITLINK)}
        self._note(links)
        self._note(_with_parents(_parent(entry.path) for entry in missing))

    @staticmethod
    def _path(folder: str, name: str) -> str:
        return f"{folder}/{name}" if folder else name

    def _set(self, path: str, state: _State) -> None:
        self._states[path] = state
        if path:
            folder, _, name = path.rpartition("/")
            self._below.setdefault(folder, {})[name] = state

    def _forget(self, path: str) -> None:
        """Forget an entry and all below it."""
        folder, _, name = path.rpartition("/")
        self._below.get(folder, {}).pop(name, None)
        waiting = [path]
        while waiting:
            path = waiting.pop()
            self._states.pop(path, None)
            waiting += [f"{path}/{name}" for name in self._below.pop(path, ())]

    def _renew(self, folder: str) -> None:
        """Put a new folder in place of one that a run has changed, with the same entries."""
        assert self._place is not None
        old, new = self._top / folder, self._place / "renewed"
        new.mkdir()
        for name in os.listdir(old):
            os.rename(old / name, new / name)
        old.rmdir()
        os.rename(new, old)

    def _note(self, paths: Iterable[str]) -> None:
        """Remember how entries are."""
        accessed = time.time_ns() + _ACCESSED
        top = self._top
        for path in paths:
            place = f"{top}/{path}"
            times = (accessed, os.lstat(place).st_mtime_ns)
            os.utime(place, ns=times, follow_symlinks=False)
            self._set(path, _of(os.lstat(place)))

    def _shows_mapped_writes(self) -> bool:
        """Return whether writing to a mapped file changes its times; tmpfs lets such a write pass unseen."""
        assert self._place is not None
        probe = self._place / "mapped"
        probe.write_bytes(bytes(mmap.PAGESIZE))
        before = os.lstat(probe).st_ctime_ns
        with open(probe, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            # Once the page was read, the write itself may reach no code of the file system.
            is_settled = mapped[0] == 0 and self._wait_beyond(before)
            mapped[0] = 1
            mapped.flush()
        changed = os.lstat(probe).st_ctime_ns
        probe.unlink()
        return is_settled and changed > before

    def _settle(self) -> bool:
        """Wait until the clock of the file system has gone on; return False if it does not."""
        return self._wait_beyond(max(state[_CHANGED] for state in self._states.values()))

    def _wait_beyond(self, newest: int) -> bool:
        """Wait until the file system's clock is beyond a time in nanoseconds; return False if it stands."""
        assert self._place is not None
        probe = self._place / "probe"
        deadline = time.monotonic() + _SETTLE_SECONDS
        is_over = False
        while not is_over and time.monotonic() < deadline:
            probe.touch()
            is_over = os.lstat(probe).st_ctime_ns > newest
            probe.unlink()
            if not is_over:
                time.sleep(0.001)
        return is_over


def _is_folder(state: _State) -> bool:
    return stat.S_ISDIR(state[_MODE])


def _by_path(entries: list[Listed]) -> dict[str, Listed]:
    """Return entries by path.

    Raises:
        PlannerError: E_EXPORT if two entries have one path.
    """
    wanted: dict[str, Listed] = {}
    for entry in entries:
        if wanted.setdefault(entry.path, entry) is not entry:
            raise unwritable(entry.path, "two entries have that name")
    return wanted


def _folders_of(wanted: dict[str, Listed]) -> set[str]:
    """Return the folders that entries need.

    Raises:
        PlannerError: E_EXPORT if one entry is below another that is no folder.
    """
    folders = {path for path, entry in wanted.items() if entry.mode == GITLINK}
    for path in wanted:
        folder = _parent(path)
        while folder and folder not in folders:
            if folder in wanted:
                raise unwritable(path, "a file is in its way")
            folders.add(folder)
            folder = _parent(folder)
    return folders


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _with_parents(paths: Iterable[str]) -> set[str]:
    """Return paths, with all folders above them."""
    known = {""}
    for path in paths:
        above = path
        while above not in known:
            known.add(above)
            above = _parent(above)
    return known


def _remove(path: str) -> None:
    """Remove anything.

    Raises:
        OSError: it is still there.
    """
    if stat.S_ISDIR(os.lstat(path).st_mode):
        remove_folder(Path(path))
        with suppress(FileNotFoundError):
            os.lstat(path)
            raise PermissionError
    else:
        os.unlink(path)
