"""Time of `git plan spec compile` with 5,000 lines of tasks, into a new plan and again into the same plan."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.bench.timing import Figure, commands
from tests.support.workshop import POLICY

MANY = 5000
ASKED = 2000


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Time both; every run into a new plan uses a new name."""
    path = root / "spec"
    fill(path, env)
    compiling = f"git -C {path} plan spec compile many --json >{root}/compiled.json"
    subprocess.run(["sh", "-c", f"{compiling} --plan again"], env=dict(env), check=True)
    named = {
        "new": ["sh", "-c", f"{compiling} --plan new-$(date +%s%N)"],
        "again": ["sh", "-c", f"{compiling} --plan again"],
    }
    taken = commands(10 // fewer, root, env, named)
    yield Figure(f"git plan spec compile: {MANY:,} tasks, new", ASKED, taken["new"].median, "ms")
    yield Figure(f"git plan spec compile: {MANY:,} tasks, again", ASKED, taken["again"].median, "ms")


def fill(path: Path, env: Mapping[str, str]) -> None:
    """Create a repository with a change of many tasks in its working tree."""
    subprocess.run(["git", "init", "-q", "-b", "main", str(path)], env=dict(env), check=True)
    (path / ".git-planner.yml").write_text(POLICY)
    subprocess.run(["git", "add", "--all"], cwd=path, env=dict(env), check=True)
    subprocess.run(["git", "commit", "-q", "-m", "policy"], cwd=path, env=dict(env), check=True)
    change = path / "openspec/changes/many"
    change.mkdir(parents=True)
    (path / "openspec/project.md").write_text("A project.\n")
    (change / "proposal.md").write_text("Many small steps.\n")
    (change / "tasks.md").write_text("".join(f"- [ ] make part {n} better\n" for n in range(MANY)))
