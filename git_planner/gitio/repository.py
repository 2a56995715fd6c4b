"""Locate a repository, and read its names, branch, configuration and identity."""

from __future__ import annotations

import os
import re
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from git_planner.errors import PlannerError
from git_planner.gitio.git import STARTING, Git
from git_planner.gitio.git_failure import unknown_identity

PRIVATE = "planner"
# Files of the turns of agents that are at work, in the private folder.
TURNS = "turns"
# Folders in which the commands of several persons make files, and locks that they share.
_PRIVATE_FOLDERS = (
    *("cache", "cache/advance", "cache/pages", "cache/policies", "claimed", "fresh", "guards", "guards/refs"),
    *("guards/refs/heads", "plan-starts", "records", "runs", TURNS, "verifications"),
)
_PRIVATE_LOCKS = ("owners.lock", "store.lock", "turns.lock")
_DATE, _STAMP = "GIT_COMMITTER_DATE", "%Y-%m-%dT%H:%M:%SZ"
# As git writes it to a file; the branch '.invalid' stands for another kind of storage.
_HEAD = re.compile(rb"ref: refs/heads/([A-Za-z0-9_-]+(?:[/.][A-Za-z0-9_-]+)*)\n")
_ANSWER = re.compile(r"(?s)(?P<paths>.*?)\n(?P<inside>true|false)\n(?P<format>sha\w+)\n(?P<top>.*?)\n?")


class Repository(NamedTuple):
    """One repository opened from one of its worktrees (or from none, when bare).

    `git_dir` is this worktree's own git directory, `common` the one shared by all worktrees.
    """

    git: Git
    top: Path | None
    git_dir: Path
    common: Path
    object_format: str

    @property
    def bare(self) -> bool:
        """Absence of a worktree."""
        return self.top is None

    def resolve(self, name: str, kind: str = "commit") -> str:
        """Return the object id of a name.

        Raises:
            PlannerError: E_UNKNOWN_REF; E_UNBORN when HEAD has no commit yet.
        """
        oid = self.maybe(name, kind)
        if oid is not None:
            return oid
        if name == "HEAD":
            raise PlannerError(
                "E_UNBORN",
                f"'{self.place}' has no commit yet",
                hint="make a first commit with 'git commit', then try again",
            )
        raise PlannerError(
            "E_UNKNOWN_REF", f"'{name}' names no {kind} here", hint="list names with 'git branch --all'"
        )

    def maybe(self, name: str, kind: str = "commit") -> str | None:
        """Return the object id of a name, or None.

        Args:
            name: a revision, or a path of one, such as 'main:README.md'.
            kind: the type that a revision is peeled to, or that the object of a path has.
        """
        # Git resolves '^{commit}' as HEAD.
        if not name or "\n" in name or "\0" in name:
            return None
        # Git takes all that follows a colon for the path.
        is_path = ":" in name
        answer = self.git.read_object("info", name if is_path else f"{name}^{{{kind}}}")
        return answer[0] if answer and (not is_path or answer[1] == kind) else None

    def head_branch(self) -> str | None:
        """Return the short name of HEAD's branch; None when detached."""
        # Many commands ask for it; of what is not written as git writes it, git is asked.
        with suppress(OSError):
            match = _HEAD.fullmatch((self.git_dir / "HEAD").read_bytes()[:1024])
            if match is not None:
                return match[1].decode()
        result = self.git.run("symbolic-ref", "--quiet", "--short", "HEAD")
        return os.fsdecode(result.stdout).strip() if result.status == 0 else None

    def config(self, key: str) -> str | None:
        """Return one value of git's configuration; None when unset."""
        section, _, rest = key.partition(".")
        subsection, dot, name = rest.rpartition(".")
        return self.git.configuration().get(f"{section.lower()}.{subsection}{dot}{name.lower()}")

    def ident(self) -> str:
        """Return the committer as 'Name <email>'.

        Raises:
            PlannerError: E_IDENTITY when git does not know.
        """
        return self._committer().rsplit(" ", 2)[0]

    def now(self) -> str:
        """Return the time of a commit made now, in UTC as 'YYYY-MM-DDTHH:MM:SSZ'.

        Raises:
            PlannerError: E_IDENTITY when git does not know the committer.
        """
        stamp = self._committer().rsplit(" ", 2)[1]
        return time.strftime(_STAMP, time.gmtime(int(stamp) if _DATE in os.environ else None))

    def fixed_date(self) -> str | None:
        """Return the time that the environment gives to commits; None if it gives none that git can read."""
        if _DATE not in os.environ:
            return None
        with suppress(PlannerError):
            return self.now()
        return None

    def private(self, *parts: str) -> Path:
        """Return a path in the folder for logs, locks and caches in the common directory; never state."""
        return self.common.joinpath(PRIVATE, *parts)

    def touch_private(self, name: str) -> None:
        """Create an empty file in the private folder for the hooks; skip it in a read-only repository."""
        path = self.private(name)
        if not path.exists():
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()

    @property
    def place(self) -> Path:
        """Path of this repository in messages."""
        return self.top or self.common

    def _committer(self) -> str:
        if self.git.committer is not None:
            return self.git.committer
        result = self.git.run("var", "GIT_COMMITTER_IDENT")
        if result.status != 0:
            raise unknown_identity(result)
        self.git.committer = os.fsdecode(result.stdout).strip()
        return self.git.committer


def open_repository(cwd: Path | None = None) -> Repository:
    """Find the repository around a folder.

    Args:
        cwd: the folder to start from, whatever the environment names. None means where the command was
            started: the current folder, or what GIT_DIR and GIT_WORK_TREE name.

    Raises:
        PlannerError: E_NOT_A_REPOSITORY with git's message.
    """
    start = Path.cwd() if cwd is None else cwd
    inherited = {name: os.environ[name] for name in STARTING if name in os.environ} if cwd is None else {}
    # The top comes last: without a worktree, git answers the rest and then fails.
    queries = ("--git-dir", "--git-common-dir", "--is-inside-work-tree", "--show-object-format")
    args = ("rev-parse", "--path-format=absolute", *queries, "--show-toplevel")
    result = Git((), start).run(*args, env=inherited)
    # A path may hold newlines, so the pattern looks for the two values in the middle.
    answer = _ANSWER.fullmatch(os.fsdecode(result.stdout))
    if answer is None or (answer["inside"] == "true" and result.status != 0):
        raise _not_opened(start, result.message)
    git_dir, common = _split_paths(answer["paths"])
    # A worktree that the environment or the configuration names need not be around the current folder.
    top = Path(answer["top"]) if answer["top"] and result.status == 0 else None
    if cwd is None:
        _share_private(common)
    if top is not None and "GIT_DIR" in inherited and "GIT_WORK_TREE" not in inherited:
        top = _worktree_of(git_dir, top)
    prefix = (f"--git-dir={git_dir}", *((f"--work-tree={top}",) if top else ()))
    git = Git(prefix, top or git_dir)
    git.object_format, git.common = answer["format"], common
    return Repository(git, top, git_dir, common, answer["format"])


def make_shared(folder: Path, common: Path) -> None:
    """Make a missing folder, writable for those who share the repository (core.sharedRepository)."""
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        mode = common.stat().st_mode
        if _is_shared(mode):
            folder.chmod(mode & 0o2777)


def index_locks(common: Path) -> list[Path]:
    """Return the locks of indexes that there are now.

    Args:
        common: the git directory that all worktrees share.
    """
    entries = common / "worktrees"
    places = [common]
    with suppress(OSError):
        places += entries.iterdir()
    return [lock for place in places if (lock := place / "index.lock").exists()]


def _is_shared(mode: int) -> bool:
    """Return whether a git directory has the permissions that git gives to those of shared repositories."""
    return mode & stat.S_IWGRP != 0 and mode & stat.S_ISGID != 0


def _share_private(common: Path) -> None:
    """Make the private folders of a shared repository (core.sharedRepository) writable for all who share it.

    A folder belongs to the person whose command needs it first, with the permissions of that person's umask.
    """
    mode = common.stat().st_mode
    if not _is_shared(mode):
        return
    for name in ("", *_PRIVATE_FOLDERS):
        with suppress(OSError):
            make_shared(common / PRIVATE / name, common)
    for name in _PRIVATE_LOCKS:
        with suppress(OSError):
            lock = os.open(common / PRIVATE / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.fchmod(lock, mode & 0o666)
            os.close(lock)


def _not_opened(start: Path, message: str) -> PlannerError:
    """Return the error for a folder around which git opens no repository."""
    first, *rest = message.splitlines() or [f"'{start}' is not a git repository"]
    # Git's own advice, such as the command that makes another user's folder a safe one.
    advice = [line.strip() for line in rest if line.strip().startswith("git ")]
    if advice:
        hint = f"if you trust it: {advice[-1]}"
    elif "not a git repository" in first:
        hint = "go to a repository, or make one with 'git init'"
    else:
        hint = "see what 'git status' says there"
    return PlannerError("E_NOT_A_REPOSITORY", first, hint=hint)


def _worktree_of(git_dir: Path, top: Path) -> Path:
    """Return the worktree that a git directory belongs to.

    Args:
        git_dir: a git directory that the environment names, without naming a worktree.
        top: the answer of git, for which the current folder is the worktree then.
    """
    try:
        link = git_dir / os.fsdecode((git_dir / "gitdir").read_bytes()).removesuffix("\n")
    except OSError:
        link = git_dir
    own = link.parent
    if link.name != ".git" or own == top or not own.is_dir():
        return top
    # A worktree that the configuration names is git's answer wherever the command was started.
    configured = Git((f"--git-dir={git_dir}",), git_dir).run("config", "--get", "core.worktree")
    return top if configured.status == 0 else own


def _split_paths(paths: str) -> tuple[Path, Path]:
    cuts = [place for place, character in enumerate(paths) if character == "\n"]
    for cut in cuts:
        first, second = Path(paths[:cut]), Path(paths[cut + 1 :])
        if first.is_dir() and second.is_dir():
            return first, second
    raise PlannerError("E_NOT_A_REPOSITORY", f"cannot tell where {paths!r} is")
