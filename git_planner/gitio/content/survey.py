"""Survey of a worktree: the files to commit, and those that cannot be committed.

Only names, types and sizes are looked at, so that a folder of any size is refused before its content is read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from git_planner.folders import make_readable, walk_files
from git_planner.gitio.content import submodules
from git_planner.gitio.content.installed_metadata import without_installed_metadata
from git_planner.gitio.content.pipes import remove_pipes
from git_planner.gitio.export import GITLINK
from git_planner.gitio.git_failure import closed_folders
from git_planner.gitio.repository import Repository

# Every listing reveals the unreadable folders of one more level.
_LISTINGS = 20
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for the files that an agent leaves: bytes of one, number of new ones, depth of folders."""

    file_bytes: int = 100 * 1024 * 1024
    new_files: int = 20_000
    depth: int = 200


@dataclass(slots=True)
class Survey:
    """The surveyed files.

    `paths` are files and links to be read; `entries` are taken over without reading: submodules, and files
    outside of a sparse checkout, as path -> (mode, object id); `problems` say what cannot be committed, one
    sentence each.
    """

    paths: list[str] = field(default_factory=list)
    entries: dict[str, tuple[str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class Surveyor:
    """Survey a worktree.

    Args:
        place: the worktree, with an inert git.
        start: the commit or tree whose files count as tracked.
        limits: the limits for new and changed files.
        indexes: environments with the index of `start`, and with an empty index.
    """

    def __init__(
        self,
        place: Repository,
        start: str,
        limits: Limits,
        indexes: tuple[Mapping[str, str], Mapping[str, str]],
    ) -> None:
        assert place.top is not None
        self.place, self.top, self.start, self.limits = place, place.top, start, limits
        self.start_index, self.empty_index = indexes
        self.survey = Survey()
        self._real: dict[str, bool] = {"": True}

    def run(self) -> Survey:
        """Return the survey."""
        known: dict[str, tuple[str, str, int]] = {}
        for line in self.place.git.names("ls-tree", "-r", "-l", "-z", "--full-tree", self.start):
            meta, path = line.split("\t", 1)
            mode, _, oid, size = meta.split()
            known[path] = (mode, oid, int(size) if size.isdigit() else 0)
        listed = without_installed_metadata(self._untracked(), known)
        sparse = self._sparse()
        oversize: list[str] = []
        for path, (mode, oid, old_size) in known.items():
            status = self._status(path)
            if status is None:
                if path in sparse:
                    self.survey.entries[path] = (mode, oid)
            elif mode == GITLINK and stat.S_ISDIR(status.st_mode):
                listed += self._submodule(path, oid)
            elif self._is_file(path, status):
                is_large = status.st_size > self.limits.file_bytes and status.st_size != old_size
                (oversize if is_large else self.survey.paths).append(path)
        self._add_new(listed, oversize)
        self._refuse_large(oversize)
        return self.survey

    def _add_new(self, listed: list[str], oversize: list[str]) -> None:
        if len(listed) > self.limits.new_files:
            limit = f"{self.limits.new_files:,} new files ('scope.max_new_files')"
            self.survey.problems.append(f"one of more than {limit}: {shown(listed[0])}")
            return
        deep: list[str] = []
        for path in listed:
            status = self._status(path)
            if status is None or not self._is_file(path, status):
                continue
            if path.count("/") > self.limits.depth:
                deep.append(path)
            else:
                (oversize if status.st_size > self.limits.file_bytes else self.survey.paths).append(path)
        if deep:
            self.survey.problems.append(f"nested in more than {self.limits.depth} folders: {shown(deep[0])}")

    def _refuse_large(self, paths: list[str]) -> None:
        """Refuse large files, unless a filter such as git-lfs stores their content elsewhere."""
        if not paths:
            return
        stdin = os.fsencode("".join(f"{path}\0" for path in paths))
        answers = self.place.git.names("check-attr", "-z", "--stdin", "filter", stdin=stdin)
        for path, value in zip(answers[::3], answers[2::3], strict=True):
            if value not in ("unspecified", "unset", "set", ""):
                self.survey.paths.append(path)
                continue
            limit = self.limits.file_bytes / 1024 / 1024
            self.survey.problems.append(f"larger than {limit:.6g} MB ('scope.max_file_mb'): {shown(path)}")

    def _untracked(self) -> list[str]:
        """List the files that are neither tracked nor ignored, those of nested repositories included."""
        shut: dict[str, bytes] = {}
        names: list[str] = []
        for _ in range(_LISTINGS):
            # Every round opens folders, in which there may be more of them.
            remove_pipes(self.top)
            args = ("ls-files", "--others", "--exclude-standard", "-z")
            result = self.place.git.run(*args, env=self.start_index)
            names = [os.fsdecode(name) for name in result.stdout.split(b"\0") if name]
            folders = closed_folders(result.stderr)
            fresh = [folder for folder in folders if folder not in shut]
            shut |= folders
            opened = [folder for folder in fresh if make_readable(self.top / folder, stat.S_IRWXU)]
            if not opened:
                break
        self.survey.problems += [
            f"{'unreadable' if cause else 'nested too deep'}: {shown(folder)}"
            for folder, cause in shut.items()
            if not _is_open(self.top / folder)
        ]
        nested = [name for name in names if name.endswith("/")]
        return [name for name in names if not name.endswith("/")] + self._files_below(nested)

    def _files_below(self, folders: Iterable[str]) -> list[str]:
        """List the files of nested repositories, without their '.git' and what is ignored."""
        paths: list[str] = []
        unread: list[str] = []
        for folder in folders:
            for entry in walk_files(self.top / folder, skip=".git", unread=unread):
                if len(paths) > self.limits.new_files:
                    return paths
                if entry.name != ".git":
                    paths.append(os.path.relpath(entry.path, self.top))
        self.survey.problems += [f"unreadable: {shown(os.path.relpath(path, self.top))}" for path in unread]
        if not paths:
            return []
        stdin = os.fsencode("".join(f"{path}\0" for path in paths))
        args = ("check-ignore", "-z", "--stdin", "--no-index")
        ignored = os.fsdecode(self.place.git.run(*args, stdin=stdin, env=self.empty_index).stdout)
        without = set(ignored.split("\0"))
        return [path for path in paths if path not in without]

    def _submodule(self, path: str, oid: str) -> list[str]:
        """Survey the folder of a submodule of the start; return its files if they are to be read as such."""
        folder = self.top / path
        entries = self.survey.entries
        if not any(os.scandir(folder)):
            entries[path] = (GITLINK, oid)
            return []
        if os.path.lexists(folder / ".git"):
            git = self.place.git
            git.run("update-index", "--add", "-z", "--stdin", stdin=os.fsencode(path), env=self.start_index)
            moved = git.names("ls-files", "--stage", "-z", "--", path, env=self.start_index)
            commit = moved[0].split(" ")[1] if moved else oid
            is_published = commit == oid or submodules.is_published(self.place, self.start, path, commit)
            if is_published and not submodules.has_changes(folder):
                entries[path] = (GITLINK, commit)
                return []
            clone = "no remote branch or tag of its clone here has"
            cause = "submodule with changed files" if is_published else f"submodule at a commit that {clone}"
            self.survey.problems.append(f"{cause} ({commit[:12]}): {shown(path)}")
        return self._files_below([path])

    def _sparse(self) -> set[str]:
        """Return the paths that a sparse checkout leaves out, as the worktree's own index has them.

        An agent can change that index; a file that is not there and counts as unchanged harms nobody.
        """
        if self.place.config("core.sparseCheckout") not in ("true", "yes", "on", "1", ""):
            return set()
        flagged = self.place.git.names("ls-files", "-t", "-z")
        return {entry[2:] for entry in flagged if entry.startswith("S ")}

    def _status(self, path: str) -> os.stat_result | None:
        """Return the status of a path without following links; None if there is nothing."""
        if not self._is_real(path.rpartition("/")[0]):
            return None
        with suppress(OSError):
            return os.lstat(self.top / path)
        return None

    def _is_real(self, folder: str) -> bool:
        """Return whether a folder exists and is not reached through a symbolic link."""
        known = self._real.get(folder)
        if known is not None:
            return known
        parts = folder.split("/")
        for count in range(1, len(parts) + 1):
            prefix = "/".join(parts[:count])
            if prefix not in self._real:
                self._real[prefix] = self._is_folder(self.top / prefix)
            if not self._real[prefix]:
                self._real[folder] = False
                break
        return self._real[folder]

    @staticmethod
    def _is_folder(path: Path) -> bool:
        with suppress(OSError):
            status = os.lstat(path)
            if stat.S_ISDIR(status.st_mode):
                return os.access(path, os.X_OK) or make_readable(path, stat.S_IRWXU)
        return False

    def _is_file(self, path: str, status: os.stat_result) -> bool:
        """Return whether a path is a link or a readable file; sockets, devices and pipes hold no content."""
        if not stat.S_ISREG(status.st_mode):
            return stat.S_ISLNK(status.st_mode)
        place = self.top / path
        is_own = status.st_uid == os.geteuid() and status.st_mode & stat.S_IRUSR
        if is_own or os.access(place, os.R_OK) or make_readable(place, stat.S_IRUSR):
            return True
        self.survey.problems.append(f"unreadable: {shown(path)}")
        return False


def shown(path: str) -> str:
    """Return a path as messages show it: without control characters, of bounded length."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    text = "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _is_open(folder: Path) -> bool:
    with suppress(OSError):
        return os.access(folder, os.R_OK | os.X_OK)
    return False
