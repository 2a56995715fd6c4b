"""Result of a git command and the classification of its failure by git's messages."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from git_planner.errors import PlannerError

Ended = TypeVar("Ended")

# Patterns are compiled when a git has failed: every hook loads this module.
# `git worktree list` fails while another process is still creating a worktree: its commondir file is empty.
_INCOMPLETE_WORKTREE = rb"failed to read [^\n]{0,4096}worktrees/[^\n/]{1,255}/commondir"
# So do all gits that look through the worktrees while another process removes the folder of one's entry.
_REMOVED_WORKTREE = rb"Invalid path '[^\n]{0,4096}/worktrees/[^\n/]{1,255}': No such file or directory"
# A concurrent `git prune` removes a folder of objects that another git is about to write to.
_FOLDER_REMOVED = (
    rb"(unable to create temporary file|unable to write file [^\n]{0,4096}): No such file or directory"
)
# Git cuts a path that is too long, and with it the cause.
_CLOSED_FOLDER = rb"(?m)^warning: could not open directory '(.*?)/?(?:': ([^\n]*))?$"
_UNWRITABLE = (
    rb"(unable to create temporary file|Unable to create '[^'\n]*'|could not create [^\n]*):"
    rb" (Permission denied|Read-only file system|Operation not permitted)"
    rb"|insufficient permission for adding an object"
)
# Lines from the git of a remote repository, about its own disk.
_REMOTE_LINE = rb"(?m)^remote:.*$"
# Seconds to wait before every further try; two in all.
_PAUSES = tuple(0.002 * 2**attempt for attempt in range(10))


class GitResult(NamedTuple):
    """Status and output of one git that has ended."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def message(self) -> str:
        """Git's stderr as text, without the label of its first line."""
        return without_label(self.stderr.decode(errors="replace").strip())


def without_label(message: str) -> str:
    """Return a message of git without 'fatal:' or 'error:' before it."""
    return message.removeprefix("fatal: ").removeprefix("error: ")


def is_transient(status: int, stderr: bytes) -> bool:
    """Return whether git failed for a transient reason, before doing anything."""
    if status == 0:
        return False
    return _has(_INCOMPLETE_WORKTREE + b"|" + _REMOVED_WORKTREE, stderr) or is_folder_removed(stderr)


def is_folder_removed(stderr: bytes) -> bool:
    """Return whether git could not write an object since a `git prune` removed the folder just then."""
    return _has(_FOLDER_REMOVED, stderr)


def _has(pattern: bytes, stderr: bytes) -> bool:
    import re

    return re.search(pattern, stderr) is not None


def retry_transient(run_once: Callable[[], Ended], is_failed: Callable[[Ended], bool]) -> Ended:
    """Retry a command that fails for a transient reason, for two seconds at most."""
    for pause in _PAUSES:
        ended = run_once()
        if not is_failed(ended):
            return ended
        time.sleep(pause)
    return run_once()


def failure(args: tuple[str, ...], result: GitResult, cwd: Path) -> PlannerError:
    """Return the error for a git that failed."""
    special = local_failure(args, result, cwd) or _broken_ref(result)
    if special is not None:
        return special
    return PlannerError(
        "E_GIT",
        result.message or f"'git {_subcommand(args)}' ended with status {result.status} and no message",
    )


def local_failure(args: tuple[str, ...], result: GitResult, cwd: Path) -> PlannerError | None:
    """Return the error for a git that failed because of this machine's disk; None for all other causes."""
    if _is_full(cwd):
        return PlannerError(
            "E_NO_SPACE",
            f"no space left on the disk of '{cwd}' while running 'git {_subcommand(args)}'",
            hint="make room, then run the same command again; nothing was half written",
        )
    import re

    if _has(_UNWRITABLE, re.sub(_REMOTE_LINE, b"", result.stderr)):
        return PlannerError(
            "E_UNWRITABLE",
            f"the repository of '{cwd}' cannot be written by 'git {_subcommand(args)}'",
            hint="look at its git directory with 'ls -ld', then run the same command again",
            details=result.stderr.decode(errors="replace").strip().splitlines()[:5],
        )
    return None


def _broken_ref(result: GitResult) -> PlannerError | None:
    """Return the error for a listing that one ref without its object ends; None for all other causes."""
    import re

    match = re.search(r"missing object ([0-9a-f]{40,64}) for (refs/\S+)", result.message)
    return broken_ref(match[2], match[1]) if match else None


def broken_ref(ref: str, oid: str) -> PlannerError:
    """Return the error for a ref whose commit does not exist."""
    name = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
    return PlannerError(
        "E_BROKEN_REF",
        f"'{name}' names a commit that does not exist: '{oid[:12]}'",
        hint="'git planner doctor' says what can be brought back, 'git reflog' where it was before",
    )


def unknown_identity(result: GitResult) -> PlannerError:
    """Return the error for a git without a committer identity, or with a date that it cannot read."""
    last = result.message.splitlines()[-1:] or ["no message"]
    if "invalid date format" in last[0]:
        message = f"git cannot read the date in the environment ({without_label(last[0])})"
        return PlannerError("E_IDENTITY", message, hint="unset GIT_COMMITTER_DATE and GIT_AUTHOR_DATE")
    return PlannerError(
        "E_IDENTITY",
        f"git does not know who you are ({without_label(last[0])})",
        hint="set 'git config user.name' and 'git config user.email'",
    )


def closed_folders(stderr: bytes) -> dict[str, bytes]:
    """Return the folders that git could not open, each with the cause: none if the path is too long."""
    import re

    return {os.fsdecode(name): cause for name, cause in re.findall(_CLOSED_FOLDER, stderr)}


def cannot_start(cwd: Path) -> PlannerError:
    """Return the error for a git that could not be started in a folder."""
    if not cwd.is_dir():
        return PlannerError("E_NOT_A_REPOSITORY", f"the folder '{cwd}' is gone")
    return PlannerError("E_MISSING_TOOL", "'git' is not on PATH", hint="install git 2.38 or later")


def _subcommand(args: tuple[str, ...]) -> str:
    """Return the name of git's command, which settings may precede."""
    place = 0
    while place + 2 < len(args) and args[place] == "-c":
        place += 2
    return args[place]


def _is_full(cwd: Path) -> bool:
    try:
        free = os.statvfs(cwd)
    except OSError:
        return False
    return free.f_bavail * free.f_frsize < 64 * 1024 or free.f_favail == 0 < free.f_files


def missing_object(name: str) -> PlannerError:
    """Return the error for an object that is needed and not there."""
    return PlannerError(
        "E_GIT", f"the object '{name}' is missing", hint="look for the damage with 'git fsck'"
    )
