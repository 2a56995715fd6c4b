"""Block in the git configuration that gives the planner's branches its hooks, and its effect.

Only `append` and `cut` write, as git does: under `config.lock`, with an atomic rename. `git config` is not
used for that: it leaves an empty section behind where a comment stands before it.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from git_planner.gitio.git import Git
from git_planner.gitio.repository import Repository
from git_planner.gitio.worktree import listing
from git_planner.managed_block import ManagedBlock, rewrite

_BLOCK = ManagedBlock("hooks", rb"(?:\[includeIf [^\n]*\n\tpath = [^\n]*\n)*")
_WHAT = "configuration"


@dataclass(frozen=True, slots=True)
class ConfigValue:
    """One value of core.hooksPath with its scope (such as 'local' or 'global') and its file."""

    scope: str
    origin: str
    value: str


def append(repo: Repository, prefixes: Sequence[str], path: str) -> bool:
    """Put the block at the end of the configuration, where it wins; return whether the file changed.

    Args:
        prefixes: beginnings of branch names, such as 'iter/'.
        path: the file to include, relative to the common directory.
    """
    sections = "".join(
        f'[includeIf "onbranch:{prefix}**"]\n\tpath = {path}\n' for prefix in prefixes
    ).encode()

    return rewrite(_config(repo), lambda before: _BLOCK.appended(before, sections), _WHAT)


def cut(repo: Repository, prefixes: Sequence[str], path: str) -> bool:
    """Remove the block, leaving every other byte; return whether the file changed."""
    changed = rewrite(_config(repo), _BLOCK.without, _WHAT)
    # Other lines within the block stay. The comments go first, because git keeps the section after one.
    comments = b"|".join(map(re.escape, _BLOCK.comments))
    changed |= rewrite(_config(repo), lambda before: re.sub(comments, b"", before), _WHAT)
    for prefix in prefixes:
        key = f"includeIf.onbranch:{prefix}**.path"
        if path in _values(repo, key):
            repo.git.bytes("config", "--local", "--fixed-value", "--unset-all", key, path)
            changed = True
    return changed


def hooks_paths(repo: Repository, branch: str | None = None) -> list[ConfigValue]:
    """Return all values of core.hooksPath, the last one counts; those of another branch when one is named."""
    args = (
        "config",
        "--null",
        "--show-scope",
        "--show-origin",
        "--type=path",
        "--get-all",
        "core.hooksPath",
    )
    if branch is None:
        result = repo.git.run(*args)
    else:
        with _on_branch(repo, branch) as git:
            result = git.run(*args)
    fields = os.fsdecode(result.stdout).split("\0")[:-1]
    return [ConfigValue(*fields[at : at + 3]) for at in range(0, len(fields), 3)]


def worktree_values(repo: Repository) -> list[tuple[Path, str]]:
    """Return the worktrees that set core.hooksPath, which overrides every include, with its value."""
    if repo.config("extensions.worktreeConfig") != "true":
        return []
    values = []
    for place in listing(repo):
        git = Git((), place.path)
        result = git.run("config", "--worktree", "--null", "--type=path", "--get", "core.hooksPath")
        if result.status == 0:
            values.append((place.path, os.fsdecode(result.stdout).removesuffix("\0")))
    return values


@contextmanager
def _on_branch(repo: Repository, branch: str) -> Iterator[Git]:
    """Open a git whose HEAD is on a branch that need not exist: a further git directory of the repository."""
    with tempfile.TemporaryDirectory(prefix="git-planner-") as folder:
        Path(folder, "HEAD").write_text(f"ref: refs/heads/{branch}\n")
        Path(folder, "commondir").write_bytes(os.fsencode(repo.common) + b"\n")
        yield Git((f"--git-dir={folder}",), Path(folder))


def _values(repo: Repository, key: str) -> list[str]:
    result = repo.git.run("config", "--local", "--no-includes", "--null", "--get-all", key)
    return os.fsdecode(result.stdout).split("\0")[:-1]


def _config(repo: Repository) -> Path:
    return (repo.common / "config").resolve()
