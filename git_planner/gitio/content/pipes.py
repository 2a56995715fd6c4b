"""Pipes and devices in the place of files that git opens in a worktree: it would wait there for ever."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.folders import walk_files

_OPENED_BY_GIT = (".gitattributes", ".gitignore")


def remove_pipes(top: Path) -> None:
    """Remove pipes and devices named like the files that git opens, in all folders of an agent's worktree.

    They hold no content, so nothing is lost. A folder that cannot be read is passed over, as git does.

    Raises:
        PlannerError: E_GIT if one cannot be removed.
    """
    for entry in walk_files(top, skip=".git"):
        if entry.name in _OPENED_BY_GIT and not (entry.is_file(follow_symlinks=False) or entry.is_symlink()):
            _remove(entry.path)


def _remove(path: str) -> None:
    folder = os.path.dirname(path)
    try:
        os.chmod(folder, stat.S_IMODE(os.lstat(folder).st_mode) | stat.S_IRWXU)
        os.unlink(path)
    except OSError as error:
        raise PlannerError(
            "E_GIT",
            f"'{path}' is a pipe or a device, where git would wait for ever ({error.strerror})",
            hint="remove it",
        ) from None
