"""Git that runs no program which the files of a worktree hold or configure.

After an agent's end its worktree may hold a hooks folder that `core.hooksPath` names, an fsmonitor of a
nested repository, or a changed script that a filter of the person's configuration starts.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from git_planner.gitio.export import write_out
from git_planner.gitio.git import Git
from git_planner.gitio.repository import Repository
from git_planner.owned_folder import temporary_folder

# `core.safecrlf` refuses content for its line ends, which only a person can change.
_OFF = (
    f"core.hooksPath={os.devnull}",
    "core.fsmonitor=false",
    "core.safecrlf=false",
    "submodule.recurse=false",
)
_FILTER = re.compile(r"(?s)filter\.([^=]+)\.(clean|smudge|process)")
# A program on PATH that takes nothing that it could start from the files of a worktree.
_LFS = re.compile(r"git[- ]lfs [a-z -]*(?:%f)?")


def inert(place: Repository, *, lfs: bool = True) -> Repository:
    """Return a worktree whose git runs no hook, no fsmonitor and no filter but git-lfs.

    Args:
        place: the worktree.
        lfs: whether git-lfs may run; not in a nested repository, whose configuration is its agent's.
    """
    filters = {key: "" for key, command in _filters(place) if not (lfs and _LFS.fullmatch(command))}
    return _with_settings(place, filters)


@contextmanager
def with_filters(place: Repository, start: str) -> Iterator[Repository]:
    """Yield a worktree whose git runs the person's filters, each in a folder with the files of a commit.

    A filter such as `tools/strip.py`, or one that imports modules from where it is started, gets the files of
    that commit and not those of the worktree.

    Args:
        place: the worktree.
        start: the trusted commit.
    """
    filters = [(key, command) for key, command in _filters(place) if not _LFS.fullmatch(command)]
    if not any(command for _, command in filters):
        yield _with_settings(place, {})
        return
    with temporary_folder() as folder:
        write_out(place.git, start, folder)
        enter = f"cd {shlex.quote(str(folder))} && "
        yield _with_settings(
            place,
            {
                # Git expands '%' in these two.
                key: command and (enter if key.endswith(".process") else enter.replace("%", "%%")) + command
                for key, command in filters
            },
            required=True,
        )


def config_files_in(place: Repository) -> list[str]:
    """Return the files of a worktree that git's configuration includes, which an agent could change."""
    if place.top is None:
        return []
    top, git_dirs = place.top.resolve(), (place.git_dir.resolve(), place.common.resolve())
    files = []
    for origin in dict.fromkeys(place.git.names("config", "--null", "--show-origin", "--list")[::2]):
        kind, _, name = origin.partition(":")
        path = (place.git.cwd / name).resolve()
        is_git_file = any(path.is_relative_to(git_dir) for git_dir in git_dirs)
        if kind == "file" and path.is_relative_to(top) and not is_git_file:
            files.append(str(path.relative_to(top)))
    return files


def _filters(place: Repository) -> list[tuple[str, str]]:
    """Return the commands of all configured filters, with their keys."""
    configuration = _person_git(place).configuration()
    return [(key, command) for key, command in configuration.items() if _FILTER.fullmatch(key)]


def _with_settings(place: Repository, filters: Mapping[str, str], *, required: bool = False) -> Repository:
    settings = [*_OFF, *(f"{key}={command}" for key, command in filters.items())]
    if not required:
        drivers = dict.fromkeys(key.rpartition(".")[0] for key in filters)
        settings += [f"{driver}.required=false" for driver in drivers]
    prefix = [word for setting in settings for word in ("-c", setting)]
    return place._replace(git=Git((*_person_git(place).prefix, *prefix), place.git.cwd))


def _person_git(place: Repository) -> Git:
    """Return the git of a worktree without the settings of `_with_settings`."""
    prefix = tuple(word for word in place.git.prefix if word.startswith("--"))
    return place.git if prefix == place.git.prefix else Git(prefix, place.git.cwd)
