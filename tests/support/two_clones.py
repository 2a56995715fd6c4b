"""Two clones of one bare repository, both with a plan of two tasks."""

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
    """Return the laboratory as a clone, another clone, and the bare repository that is 'origin' of both."""
    lab.prepare("two clones", _make_clones)
    return lab, lab.beside("other"), lab.root / "origin.git"


def _make_clones(lab: Lab) -> None:
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
    """Return the first page of the plan on a branch."""
    document: dict[str, Any] = json.loads(lab.show(f"{name}:{PAGE}"))
    return document


def titles(lab: Lab, name: str = "plan/default") -> list[tuple[str, str]]:
    """Return id and title of every task on a branch."""
    return [(task["id"], task["title"]) for task in page(lab, name)["tasks"]]
