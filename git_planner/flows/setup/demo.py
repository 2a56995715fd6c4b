"""Run the demo: a repository with a small kernel, and a loop of scripted attempts, without a network."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner.agents.patches import list_patches
from git_planner.errors import PlannerError
from git_planner.flows.hooks.install import install_hooks
from git_planner.flows.iterations.iterate import IterateOptions, LoopOptions, loop
from git_planner.flows.records.ledger import read_ledger
from git_planner.gitio.git import Git
from git_planner.gitio.repository import Repository, open_repository
from git_planner.progress import Progress
from git_planner.resources import resource_folder
from git_planner.rules.records.record import Record

IDENTITY = ("The demo", "demo@example.invalid")


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Result of the demo: its folder and repository, the records of its loop, and why the loop stopped.

    `tried` describes the patch of every iteration, in order.
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


def run_demo(folder: Path | None, progress: Progress) -> DemoResult:
    """Create the demo repository and run its loop.

    Args:
        folder: a missing or empty folder (default: a new temporary one). The repository is created in its
            subfolder 'kernel', since worktrees are created beside it.
        progress: called with each progress message.

    Raises:
        PlannerError: E_USAGE when the folder is not empty.
    """
    top = _empty_folder(folder)
    repo = make_repository(top / "kernel")
    progress(f"made '{repo.place}': a kernel, its tests and its policy")
    install_hooks(repo)
    progress("installed the hooks that keep tests/ out of iterations")
    patches = list_patches(repo.place / "patches")
    options = IterateOptions(planner="offline", implementer="patches", slug="next")
    result = loop(repo, LoopOptions(options, count=len(patches)), progress)
    attempts = tuple(" ".join(path.stem.split("-")[1:]) for path in patches)
    return DemoResult(top, repo.place, tuple(read_ledger(repo, result.plan)), attempts, result.stopped)


def make_repository(place: Path) -> Repository:
    """Create the demo repository in a missing folder, with one commit on main.

    Raises:
        PlannerError: E_GIT, E_MISSING_FOLDER.
    """
    shutil.copytree(
        resource_folder("templates") / "demo", place, ignore=shutil.ignore_patterns("__pycache__")
    )
    git = Git((), place)
    git.bytes("init", "-q", "--initial-branch=main")
    # In this repository only: signing keys, hooks and a missing name must not stop the demo.
    for key, value in zip(("user.name", "user.email"), IDENTITY, strict=True):
        git.bytes("config", key, value)
    git.bytes("config", "commit.gpgSign", "false")
    git.bytes("config", "tag.gpgSign", "false")
    git.bytes("add", "--all")
    git.bytes("commit", "-q", "--no-verify", "-m", "A kernel, a simulator that counts cycles, and tests")
    return open_repository(place)


def _empty_folder(folder: Path | None) -> Path:
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
