"""Build sandboxed command lines: the hidden paths of a repository, and the extra readable ones."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from git_planner.gitio.repository import Repository
from git_planner.host import jail
from git_planner.host.jail import Jail, NoJail

READ_VARIABLE = "GIT_PLANNER_JAIL_READ"


def sandboxed_command(
    repo: Repository, sandbox: Jail | NoJail, argv: Sequence[str], env: Mapping[str, str], place: Path
) -> tuple[Sequence[str], Mapping[str, str]]:
    """The command line and environment of a program: in the jail, when there is one.

    Args:
        repo: the repository, which is hidden.
        sandbox: the jail of this machine.
        argv: the program and its arguments.
        env: its environment.
        place: a temporary folder with 'tree', 'home' and 'tmp'.

    Raises:
        PlannerError: E_MISSING_TOOL.
    """
    if isinstance(sandbox, NoJail):
        return argv, env
    own = [folder for folder in (repo.top, repo.common) if folder is not None]
    if repo.common.name == ".git":
        own.append(repo.common.parent)
    return jail.confined(sandbox, argv, env, place, hidden=own, shown=extra_readonly_paths(repo))


def extra_readonly_paths(repo: Repository) -> list[Path]:
    """Return the extra folders that are readable in the jail, such as the files of a tool."""
    paths = os.environ.get(READ_VARIABLE) or repo.config("planner.jailRead") or ""
    return [Path(path) for path in paths.split(os.pathsep) if os.path.isabs(path)]
