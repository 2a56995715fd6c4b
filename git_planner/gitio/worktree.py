"""Worktrees: add and remove the planner's, and keep a person's in step with a branch that moves."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from git_planner import atomic_file
from git_planner.boot import boot_id
from git_planner.errors import PlannerError
from git_planner.folders import remove_folder
from git_planner.gitio.content.inert_git import inert
from git_planner.gitio.git import Git
from git_planner.gitio.git_failure import closed_folders, failure
from git_planner.gitio.refs.finish_follow import finish_follow
from git_planner.gitio.repository import Repository, index_locks, make_shared, open_repository

# No writer needs an index for so long; a lock of another machine that is older is abandoned.
_ABANDONED_SECONDS = 600.0
_MAX_PATH = 64 * 1024
_LOCK_KEY = "git-planner"
_LOCK_STARTS = f'{{"{_LOCK_KEY}"'.encode()


@dataclass(frozen=True, slots=True)
class Worktree:
    """One worktree: its path, its commit and the full ref of its branch (None when detached)."""

    path: Path
    head: str | None
    branch: str | None
    locked: bool
    prunable: bool


def listing(repo: Repository) -> list[Worktree]:
    """Return all worktrees of a repository, the main one first; a bare main one is left out."""
    worktrees: list[Worktree] = []
    fields: dict[str, str] = {}
    for line in [*os.fsdecode(repo.git.bytes("worktree", "list", "--porcelain", "-z")).split("\0"), ""]:
        if line:
            key, _, value = line.partition(" ")
            fields[key] = value
        elif fields:
            if "bare" not in fields:
                path = Path(fields["worktree"])
                worktrees.append(
                    Worktree(
                        main_folder(repo) or path if path == repo.common else path,
                        fields.get("HEAD"),
                        fields.get("branch"),
                        "locked" in fields,
                        "prunable" in fields,
                    )
                )
            fields = {}
    return worktrees


def add(repo: Repository, path: Path, branch: str) -> Repository:
    """Check a branch out in a new worktree.

    Args:
        path: a folder that does not exist yet.
        branch: the short name of an existing branch.

    Returns:
        The repository, opened from there; its git runs no program of the worktree.
    """
    make_shared(path.parent, repo.common)
    # A post-checkout hook of the repository is not meant for a worktree without a person.
    repo.git.bytes(
        "-c", f"core.hooksPath={os.devnull}", "worktree", "add", "--quiet", "--", str(path), branch
    )
    return inert(open_repository(path))


def remove(repo: Repository, path: Path) -> None:
    """Remove a planner's worktree with all its files, or git's entry of one whose folder is gone.

    Raises:
        PlannerError: E_GIT when git refuses, such as for a locked one; then nothing is changed.
    """
    # Never 'git worktree prune': it forgets index and HEAD of every missing worktree, such as
    # a person's on a disk that is not mounted.
    args = ("worktree", "remove", "--force", "--", str(path))
    done = repo.git.run(*args)
    # Files that cannot be deleted stay, but git has dropped its entry of the worktree.
    if done.status != 0 and any(worktree.path == path for worktree in listing(repo)):
        raise failure(args, done, repo.git.cwd)
    if b"failed to delete" in done.stderr:
        # Git cannot delete paths beyond the system's limit of length.
        remove_folder(path)


def main_folder(repo: Repository) -> Path | None:
    """Return the folder of the main worktree where git reports the git directory in its place.

    It does so for submodules and for other git directories outside of their worktree.

    Returns:
        The folder; None in a bare repository, or if neither configuration nor current folder tells it.
    """
    if repo.git_dir == repo.common:
        return repo.top
    configured = Git((f"--git-dir={repo.common}",), repo.common)
    result = configured.run("config", "--file", str(repo.common / "config"), "--get", "core.worktree")
    folder = repo.common / os.fsdecode(result.stdout).removesuffix("\n")
    return Path(os.path.normpath(folder)) if result.status == 0 and folder.is_dir() else None


def checked_out_folder(repo: Repository, ref: str, reported: Path) -> Path | None:
    """Return the folder in which a branch is checked out; None if there is none.

    Args:
        repo: the repository.
        ref: the branch.
        reported: git's answer, which is the git directory for some main worktrees.

    Raises:
        PlannerError: E_WORKTREE if nothing tells the folder.
    """
    if reported != repo.common:
        return reported if reported.is_dir() else None
    folder = main_folder(repo)
    if folder is None and (repo.config("core.bare") or "false") == "false":
        raise PlannerError(
            "E_WORKTREE",
            f"'{ref}' is checked out in the main worktree of '{repo.common}', "
            "and git does not know its folder",
            hint="run the command in that folder",
        )
    return folder


Link = Literal["sound", "broken", "foreign"]


def link_state(repo: Repository, path: Path) -> Link:
    """Return whether the folder of a worktree leads back to its repository.

    The link of a moved repository is broken. The worktrees that a copied repository lists are those of the
    original, whose own entries lead to them.
    """
    link = path / ".git"
    try:
        if link.is_dir():
            return "sound" if os.path.samefile(link, repo.common) else "foreign"
        key, _, target = _read_path(link).partition(": ")
        git_dir = path / target
        if key != "gitdir" or not git_dir.is_dir():
            return "broken"
        if os.path.samefile(git_dir, repo.common):
            return "sound"
        common = git_dir / _read_path(git_dir / "commondir")
        if os.path.samefile(common, repo.common):
            return "sound"
        back = git_dir / _read_path(git_dir / "gitdir")
        return "foreign" if os.path.samefile(back, link) else "broken"
    except (OSError, ValueError):
        return "broken"


def _read_path(file: Path) -> str:
    """Return the line of a file of git, in whose place an agent may have put anything."""
    return os.fsdecode(atomic_file.read(file, _MAX_PATH)).removesuffix("\n")


def bad_link(repo: Repository, path: Path, state: Link) -> PlannerError:
    """Return the error for a worktree whose link is not sound."""
    if state == "foreign":
        return PlannerError(
            "E_WORKTREE",
            f"the worktree '{path}' belongs to another repository, of which '{repo.place}' is a copy",
            hint=f"work there in the original; its entry in '{repo.common / 'worktrees'}' is of no use here",
        )
    return PlannerError(
        "E_WORKTREE",
        f"the worktree '{path}' does not lead to '{repo.common}': one of them was moved",
        hint=f"run 'git worktree repair' in '{repo.place}', with the new paths of moved worktrees",
    )


def dirty_paths(repo: Repository) -> list[str]:
    """Return the paths that differ from HEAD in index or worktree, and untracked, not ignored ones.

    A submodule counts with its commit; git would run programs of its configuration to look at its files.
    Folders that git cannot open count, too: nobody knows what is in them.
    """
    options = ("--no-renames", "--untracked-files=all", "--ignore-submodules=dirty")
    args = ("status", "--porcelain=v1", "-z", *options)
    result = repo.git.run(*args)
    if result.status != 0:
        raise failure(args, result, repo.git.cwd)
    fields = [os.fsdecode(field) for field in result.stdout.split(b"\0") if field]
    return [field[3:] for field in fields] + list(closed_folders(result.stderr))


class Lockstep:
    """Moves a checked-out branch together with the index and files of its worktree.

    Taken before the ref moves, it holds the worktree's `index.lock` and has checked that no path that will
    change was modified there. `follow` brings files and index to the new commit; `release` gives up. The lock
    file records the move, so that the next writer can finish or undo the work of one that was killed.
    It is locked itself for as long as its writer lives, which no process id can show.
    """

    def __init__(
        self, place: Repository, ref: str, old: str, new: str, held: IO[bytes] | None = None
    ) -> None:
        self.place, self.ref, self.old, self.new = place, ref, old, new
        self._index = Path(place.git.line("rev-parse", "--path-format=absolute", "--git-path", "index"))
        self._lock = self._index.with_name(self._index.name + ".lock")
        self._copy = self._index.with_name(self._index.name + ".planner")
        self._held = held

    def take(self) -> None:
        """Lock and check.

        Raises:
            PlannerError: E_CHECKED_OUT naming the worktree and the obstacle.
        """
        recover(self.place)
        self._make_lock()
        fits = False
        try:
            self._clear()
            if self._index.exists():
                shutil.copyfile(self._index, self._copy)
            self.place.git.run("update-index", "-q", "--refresh", env=self._env)
            trial = self.place.git.run("read-tree", "-n", "-m", "-u", self.old, self.new, env=self._env)
            fits = trial.status == 0
        finally:
            if not fits:
                self.release()
        if not fits:
            raise self._refusal(trial.message)

    def follow(self) -> None:
        """Bring the worktree to the new commit; call once the ref has moved."""
        self.place.git.bytes("read-tree", "-m", "-u", self.old, self.new, env=self._env)
        os.replace(self._copy, self._index)
        self.release()

    def finish(self) -> None:
        """Bring the worktree to the new commit, wherever a killed `follow` ended."""
        if self._copy.exists():
            self._clear(is_copy_kept=True)
            finish_follow(
                self.place.git, self.place.top or self.place.git.cwd, self._copy, self.old, self.new
            )
            os.replace(self._copy, self._index)
        elif not self._index.exists():
            self.follow()
        self.release()

    def release(self) -> None:
        """Release the index; without `follow` the worktree stays as it was."""
        if self._held is not None:
            self._clear()
            self._lock.unlink(missing_ok=True)
            self._held.close()
            self._held = None

    def _clear(self, *, is_copy_kept: bool = False) -> None:
        """Remove what a killed git or writer left beside the index; nobody else writes there."""
        for path in self._copy.parent.glob(f"{self._copy.name}*"):
            is_kept = is_copy_kept and path == self._copy
            # Others may be about to claim the lock by their drafts.
            is_draft = path.name.startswith(f"{self._copy.name}-")
            if not is_kept and not (is_draft and time.time() - path.stat().st_mtime < _ABANDONED_SECONDS):
                path.unlink(missing_ok=True)

    @property
    def _env(self) -> dict[str, str]:
        return {"GIT_INDEX_FILE": str(self._copy)}

    def _make_lock(self) -> None:
        # Linked into place, the lock always has its text, even after a kill.
        draft = self._index.with_name(f"{self._index.name}.planner-{os.urandom(8).hex()}")
        mine = {
            "ref": self.ref,
            "old": self.old,
            "new": self.new,
            "pid": os.getpid(),
            "host": os.uname().nodename,
            "boot": boot_id(),
        }
        file = open(draft, "xb")  # noqa: SIM115 - it is held until `release`
        try:
            file.write(json.dumps({_LOCK_KEY: mine}).encode())
            file.flush()
            atomic_file.lock_now(file)
            atomic_file.claim(draft, self._lock)
            self._held = file
        except FileExistsError:
            raise self._refusal(f"its index is locked ('{self._lock}')") from None
        finally:
            draft.unlink(missing_ok=True)
            if self._held is None:
                file.close()

    def _refusal(self, why: str) -> PlannerError:
        branch = self.ref.removeprefix("refs/heads/")
        return PlannerError(
            "E_CHECKED_OUT",
            f"'{branch}' is checked out in '{self.place.top}' and cannot follow there: {why}",
            hint="commit or put away the changes there, or switch it to another branch; nothing was moved",
        )


def recover(place: Repository) -> None:
    """Finish or undo the move of a killed writer: an `index.lock` with the text of `Lockstep`."""
    lock = Path(place.git.line("rev-parse", "--path-format=absolute", "--git-path", "index.lock"))
    step = _abandoned(place, lock)
    if step is None:
        return
    if place.maybe(step.ref) == step.new:
        try:
            step.finish()
        except (PlannerError, OSError):
            step.release()
    else:
        step.release()


def recover_all(repo: Repository) -> None:
    """Finish or undo the moves of killed writers in all worktrees of a repository.

    A command that is run again after a kill may find nothing to move, and the worktree would stay behind.
    """
    if not any(map(_is_ours, index_locks(repo.common))):
        return
    with suppress(PlannerError, OSError):
        for place in listing(repo):
            if place.path.is_dir() and link_state(repo, place.path) == "sound":
                recover(open_repository(place.path))


def _is_ours(lock: Path) -> bool:
    """Return whether a lock is that of a writer of ours, dead or alive."""
    with suppress(OSError, ValueError):
        return atomic_file.read(lock, _MAX_PATH).startswith(_LOCK_STARTS)
    return False


def _abandoned(place: Repository, lock: Path) -> Lockstep | None:
    """Take over the lock file of a writer that was killed; None when there is none."""
    try:
        file = open(lock, "r+b")  # noqa: SIM115 - it is held until `release`
    except OSError:
        return None
    try:
        move = json.loads(file.read())[_LOCK_KEY]
        # Meanwhile another process may have recovered the worktree, and a new writer may have begun.
        if _is_decisive(move, file) and atomic_file.lock_now(file) and _is_same(file, lock):
            return Lockstep(place, move["ref"], move["old"], move["new"], file)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    file.close()
    return None


def _is_decisive(move: Mapping[str, str], file: IO[bytes]) -> bool:
    """Return whether a lock on the file would show that its writer lives.

    One kernel holds the locks of all its containers, whatever their names. Elsewhere a lock that is older
    than any writer's work counts as abandoned.
    """
    is_same_host = move["host"] == os.uname().nodename
    if move["boot"] == boot_id() if move.get("boot") else is_same_host:
        return True
    age = time.time() - os.fstat(file.fileno()).st_mtime
    is_before_boot = is_same_host and age > time.clock_gettime(time.CLOCK_BOOTTIME)
    return is_before_boot or age > _ABANDONED_SECONDS


def _is_same(file: IO[bytes], path: Path) -> bool:
    """Return whether a path still names an open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def temporary_index(git: Git, scratch: Path, treeish: Sequence[str] = ()) -> dict[str, str]:
    """Return an environment with a separate index file, filled from a tree when one is named."""
    env = {"GIT_INDEX_FILE": str(scratch)}
    git.bytes("read-tree", *(treeish or ("--empty",)), env=env)
    return env
