"""The demo: a repository with a small kernel, and a loop of scripted attempts at it, without a network."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner.agents.contract import Tell
from git_planner.agents.patches import list_patches
from git_planner.errors import PlannerError
from git_planner.flows.hooks.install import install_hooks
from git_planner.flows.iterations.iterate import IterateOptions, LoopOptions, loop
from git_planner.flows.records.ledger import read_ledger
from git_planner.gitio.git import Git
from git_planner.gitio.repository import Repository, open_repository
from git_planner.resources import resource_folder
from git_planner.rules.records.record import Record

IDENTITY = ("The demo", "demo@example.invalid")


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo left: the folder, the repository in it, the records of its loop, and why that ended.

    `tried` says for each iteration, from the first, what its patch does.
    """

    folder: Path
    repository: Path
    records: tuple[Record, ...]
    tried: tuple[str, ...]
    stopped: str

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/demo@1",
            "folder": str(self.folder),
            "repository": str(self.repository),
            "records": [record.document() for record in self.records],
            "tried": list(self.tried),
            "stopped": self.stopped,
        }


def demo(folder: Path | None, tell: Tell) -> Demo:
    """Make the demo's repository and run its loop.

    Args:
        folder: an absent or empty folder; a fresh temporary one when None. The repository is made in
            'kernel' within it, since worktrees come to lie beside it.
        tell: told what happens.

    Raises:
        PlannerError: E_USAGE when the folder holds something.
    """
    place = _fresh(folder)
    repo = make_repository(place / "kernel")
    tell(f"made '{repo.place}': a kernel, its tests and its policy")
    install_hooks(repo)
    tell("installed the hooks that keep tests/ out of iterations")
    patches = list_patches(repo.place / "patches")
    each = IterateOptions(planner="offline", implementer="patches", slug="next")
    ended = loop(repo, LoopOptions(each, count=len(patches)), tell)
    tried = tuple(" ".join(path.stem.split("-")[1:]) for path in patches)
    return Demo(place, repo.place, tuple(read_ledger(repo, ended.plan)), tried, ended.stopped)


def make_repository(place: Path) -> Repository:
    """Make the demo's repository in an absent folder, with one commit on main.

    Raises:
        PlannerError: E_GIT, E_MISSING_FOLDER.
    """
    shutil.copytree(
        resource_folder("templates") / "demo", place, ignore=shutil.ignore_patterns("__pycache__")
    )
    git = Git((), place)
    git.bytes("init", "-q", "--initial-branch=main")
    # Only here: nobody's signing key, hooks folder or missing name shall stop a demo.
    for key, value in zip(("user.name", "user.email"), IDENTITY, strict=True):
        git.bytes("config", key, value)
    git.bytes("config", "commit.gpgSign", "false")
    git.bytes("config", "tag.gpgSign", "false")
    git.bytes("add", "--all")
    git.bytes("commit", "-q", "--no-verify", "-m", "A kernel, a simulator that counts cycles, and tests")
    return open_repository(place)


def _fresh(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="git-planner-demo-"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PlannerError(
            "E_USAGE",
            f"'{folder}' is not an empty folder, and the demo overwrites nothing",
            hint="name a new folder, or none: 'git planner demo'",
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()
