"""`git plan use`, and paths that count from where the person stands."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.support.lab import Lab
from tests.support.workshop import POLICY, directive, workshop


def test_use_sets_the_current_plan(lab: Lab) -> None:
    lab.commit("policy", {".git-planner.yml": POLICY})
    for plan in ("default", "fast"):
        assert lab.run("git-plan", "task", "add", "First", "--plan", plan).status == 0
    ran = lab.run("git-plan", "use", "fats")
    assert (ran.status, ran.err.splitlines()[1]) == (1, "hint: did you mean 'fast'?")
    assert lab.run("git-plan", "use").out == "default\n"
    assert lab.run("git-plan", "use", "fast").out == "fast\n"
    assert lab.git("config", "--local", "planner.plan") == "fast"
    marks = [line[:6] for line in lab.run("git-plan", "list").out.splitlines()]
    assert marks == ["  defa", "* fast"]
    assert json.loads(lab.run("git-plan", "list", "--json").out)["current"] == "fast"
    assert lab.run("git-plan", "use", "--unset").out == "default\n"
    assert lab.run("git-plan", "use", "--unset").status == 0
    assert lab.run("git-plan", "use", "fast", "--unset").status == 2


@pytest.mark.parametrize("how", ["subfolder", "-C", "alias", "alias from a worktree"])
def test_paths_count_from_where_the_person_stands(lab: Lab, how: str) -> None:
    workshop(lab)
    assert lab.run("git-plan", "manual", "pack", "--slug", "hand").status == 0
    place = lab.path
    if how == "alias from a worktree":
        lab.git("worktree", "add", "-q", "--detach", str(lab.root / "other"))
        place = lab.root / "other"
    (place / "below").mkdir()
    (place / "below" / "answer.json").write_text(json.dumps(directive()))
    programs = str(Path(sys.executable).parent)
    env = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    lab.git("config", "alias.p", "!git plan")
    command = ("manual", "apply", "--file", "answer.json", "--json")
    if how == "subfolder":
        ran = lab.run_program("git", "plan", *command, cwd=place / "below", env=env)
    elif how == "-C":
        ran = lab.run_program("git", "-C", "below", "plan", *command, cwd=place, env=env)
    else:
        ran = lab.run_program("git", "p", *command, cwd=place / "below", env=env)
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["branch"].endswith("-hand")
