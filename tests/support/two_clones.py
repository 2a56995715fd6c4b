"""Two clones of one bare repository, with a plan of two tasks that both of them have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.lab import Lab, Ran
from tests.support.workshop import workshop

PLAN = "refs/heads/plan/default"
FOLDER = ".plans/default"
PAGE = f"{FOLDER}/plan.json"


def two_clones(lab: Lab) -> tuple[Lab, Lab, Path]:
    """The laboratory as a clone, another one, and the bare repository that both call 'origin'."""
    workshop(lab)
    bare = lab.root / "origin.git"
    lab.git("init", "-q", "--bare", "-b", "main", f"--object-format={lab.repo.object_format}", str(bare))
    lab.git("remote", "add", "origin", f"file://{bare}")
    lab.git("push", "-q", "origin", "main")
    for title in ("Make it shorter", "Say so"):
        add(lab, title)
    assert share(lab, "push").status == 0
    other = lab.clone("other")
    other.git("remote", "set-url", "origin", f"file://{bare}")
    assert share(other, "pull").status == 0
    return lab, other, bare


def share(lab: Lab, verb: str, *argv: str) -> Ran:
    """Run 'git plan push' or 'git plan pull'."""
    return lab.run("git-plan", verb, *argv)


def add(lab: Lab, title: str, *argv: str) -> None:
    """Add a task."""
    ran = lab.run("git-plan", "task", "add", title, *argv)
    assert ran.status == 0, ran.err


def update(lab: Lab, task: str, *argv: str) -> None:
    """Change a task."""
    ran = lab.run("git-plan", "task", "update", task, *argv)
    assert ran.status == 0, ran.err


def page(lab: Lab, name: str = "plan/default") -> dict[str, Any]:
    """The first page of the plan on a branch."""
    found: dict[str, Any] = json.loads(lab.show(f"{name}:{PAGE}"))
    return found


def titles(lab: Lab, name: str = "plan/default") -> list[tuple[str, str]]:
    """Number and title of every task on a branch."""
    return [(each["id"], each["title"]) for each in page(lab, name)["tasks"]]
