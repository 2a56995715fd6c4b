"""The block in a repository's git configuration that sends our branches to our hooks, and its effect.

Only `append` and `cut` write, as git does: under `config.lock`, the whole file at once. `git config` is not
used for that: it leaves an empty section behind where a comment stands before it.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.gitio.git import Git
from git_planner.gitio.repository import Repository
from git_planner.gitio.worktree import listing

_BEGIN = b"# git-planner hooks: begin\n"
# Tells `cut` that the newline before the block is not the person's.
_BEGIN_JOINED = b"# git-planner hooks: begin, after a line without end\n"
_END = b"# git-planner hooks: end\n"
_BLOCK = re.compile(
    rb"(?:\n%s|%s)(?:\[includeIf [^\n]*\n\tpath = [^\n]*\n)*%s" % (_BEGIN_JOINED, _BEGIN, _END)
)


@dataclass(frozen=True, slots=True)
class Value:
    """One value of core.hooksPath: its scope (such as 'local' or 'global'), the file, and what it says."""

    scope: str
    origin: str
    value: str


def append(repo: Repository, prefixes: Sequence[str], path: str) -> bool:
    """Put the block at the end of the configuration, where it wins; return whether anything changed.

    Args:
        prefixes: beginnings of branch names, such as 'iter/'.
        path: the file to include, relative to the common directory.
    """
    sections = "".join(
        f'[includeIf "onbranch:{prefix}**"]\n\tpath = {path}\n' for prefix in prefixes
    ).encode()

    def changed(before: bytes) -> bytes:
        rest = _without(before)
        begin = b"\n" + _BEGIN_JOINED if rest and not rest.endswith(b"\n") else _BEGIN
        return rest + begin + sections + _END

    return _rewrite(repo, changed)


def cut(repo: Repository, prefixes: Sequence[str], path: str) -> bool:
    """Take the block out again, leaving every other byte; return whether anything changed."""
    changed = _rewrite(repo, _without)
    # Whoever edited within the block keeps what is theirs; only our lines go. The comments first, because git
    # keeps the section that follows one.
    comments = b"|".join(map(re.escape, (_BEGIN, _BEGIN_JOINED, _END)))
    changed |= _rewrite(repo, lambda before: re.sub(comments, b"", before))
    for prefix in prefixes:
        key = f"includeIf.onbranch:{prefix}**.path"
        if path in _values(repo, key):
            repo.git.bytes("config", "--local", "--fixed-value", "--unset-all", key, path)
            changed = True
    return changed


def hooks_paths(repo: Repository, branch: str | None = None) -> list[Value]:
    """All values of core.hooksPath, the last one counts; as seen on another branch when one is named."""
    words = (
        "config",
        "--null",
        "--show-scope",
        "--show-origin",
        "--type=path",
        "--get-all",
        "core.hooksPath",
    )
    if branch is None:
        result = repo.git.run(*words)
    else:
        with _on_branch(repo, branch) as git:
            result = git.run(*words)
    fields = os.fsdecode(result.stdout).split("\0")[:-1]
    return [Value(*fields[at : at + 3]) for at in range(0, len(fields), 3)]


def worktree_values(repo: Repository) -> list[tuple[Path, str]]:
    """Worktrees that set core.hooksPath for themselves, which wins over every include; with the value."""
    if repo.config("extensions.worktreeConfig") != "true":
        return []
    found = []
    for place in listing(repo):
        git = Git((), place.path)
        result = git.run("config", "--worktree", "--null", "--type=path", "--get", "core.hooksPath")
        if result.status == 0:
            found.append((place.path, os.fsdecode(result.stdout).removesuffix("\0")))
    return found


@contextmanager
def _on_branch(repo: Repository, branch: str) -> Iterator[Git]:
    """A git whose HEAD is on a branch that need not exist: a further git directory of the repository."""
    with tempfile.TemporaryDirectory(prefix="git-planner-") as folder:
        Path(folder, "HEAD").write_text(f"ref: refs/heads/{branch}\n")
        Path(folder, "commondir").write_bytes(os.fsencode(repo.common) + b"\n")
        yield Git((f"--git-dir={folder}",), Path(folder))


def _without(config: bytes) -> bytes:
    """The configuration without our block."""
    found = _BLOCK.search(config)
    if found is None:
        return config
    # The newline before a block is ours only where nothing has been written after it since.
    joint = b"\n" if found[0].startswith(b"\n") and found.end() < len(config) else b""
    return config[: found.start()] + joint + config[found.end() :]


def _values(repo: Repository, key: str) -> list[str]:
    result = repo.git.run("config", "--local", "--no-includes", "--null", "--get-all", key)
    return os.fsdecode(result.stdout).split("\0")[:-1]


def _config(repo: Repository) -> Path:
    return (repo.common / "config").resolve()


def _rewrite(repo: Repository, change: Callable[[bytes], bytes]) -> bool:
    """Replace the configuration file by what `change` makes of it, under git's own lock."""
    config = _config(repo)
    lock = config.with_name(config.name + ".lock")
    try:
        handle = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, config.stat().st_mode & 0o777)
    except FileExistsError:
        raise PlannerError(
            "E_BUSY",
            f"the configuration is locked ('{lock}')",
            hint="wait for the git that changes it; when none runs, remove that file",
        ) from None
    try:
        before = config.read_bytes()
        after = change(before)
        with open(handle, "wb") as file:
            file.write(after)
        if after != before:
            os.chmod(lock, config.stat().st_mode & 0o777)
            os.replace(lock, config)
        return after != before
    finally:
        lock.unlink(missing_ok=True)
