"""Races for claims by many processes, in one repository and over a remote, with any date of git."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from git_planner.flows.tasks.edit import read_tasks
from tests.support.lab import Lab

DATES = ("1112911993 +0000", "4000000000 -1200", "2026-11-28T12:00:00+14:00", "1700000000 +0000")
POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
metrics:
  - {name: size, run: [cat, a], pattern: '(\\d+)', unit: points, better: lower, kind: deterministic}
"""
# Each racer tries to claim every task, and prints those that it has got.
RACE = """\
import os, sys
from git_planner import cli
won = []
for number in range(1, int(sys.argv[2]) + 1):
    keep = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    words = ["task", "claim", f"task_{number:03d}", "--owner", sys.argv[1], *sys.argv[3:]]
    status = cli.main("git-plan", words)
    os.dup2(keep, 1)
    os.close(keep)
    assert status in (0, 3), status
    won += [number] if status == 0 else []
print(*won)
"""


def winners(places: list[Path], env: dict[str, str], tasks: int, *words: str) -> list[list[int]]:
    """Let one racer run in each folder; return what each has won."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, f"racer {number}", str(tasks), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**env, "GIT_COMMITTER_DATE": DATES[number % len(DATES)]},
            cwd=place,
        )
        for number, place in enumerate(places)
    ]
    answers = [racer.communicate() for racer in racers]
    faults = [
        err.decode()[-800:] for racer, (_, err) in zip(racers, answers, strict=True) if racer.returncode
    ]
    assert faults == []
    return [[int(word) for word in out.split()] for out, _ in answers]


def with_tasks(lab: Lab, tasks: int) -> None:
    lab.commit("a policy", {".git-planner.yml": POLICY})
    for number in range(tasks):
        assert (
            lab.run("git-plan", "task", "add", f"task {number}", "--write-scope", f"src/{number}").status == 0
        )


@pytest.mark.parametrize(
    ("racers", "tasks"), [(4, 5), pytest.param(16, 100, marks=pytest.mark.real)], ids=["few", "many"]
)
def test_one_of_many_claims_each_task(lab: Lab, racers: int, tasks: int) -> None:
    with_tasks(lab, tasks)
    won = winners([lab.path] * racers, lab.env, tasks)
    assert sorted(number for numbers in won for number in numbers) == list(range(1, tasks + 1))
    with lab.entered():
        owners = {task.number: task.owner for task in read_tasks(lab.repo, "default").tasks}
    assert owners == {number: f"racer {place}" for place, numbers in enumerate(won) for number in numbers}


@pytest.mark.parametrize(
    ("racers", "tasks"), [(3, 2), pytest.param(16, 10, marks=pytest.mark.real)], ids=["few", "many"]
)
def test_one_of_many_clones_claims_each_task(lab: Lab, racers: int, tasks: int) -> None:
    with_tasks(lab, tasks)
    shared = lab.root / "shared.git"
    lab.git("init", "-q", "--bare", str(shared))
    lab.git("remote", "add", "origin", str(shared))
    lab.git("push", "-q", "origin", "main")
    assert lab.run("git-plan", "push", "origin").status == 0
    places = [lab.root / f"clone{number}" for number in range(racers)]
    for place in places:
        lab.git("clone", "-q", str(shared), str(place), cwd=lab.root)
        assert lab.run("git-plan", "pull", "origin", cwd=place).status == 0
    won = winners(places, lab.env, tasks, "--remote", "origin")
    assert sorted(number for numbers in won for number in numbers) == list(range(1, tasks + 1))
    refs = lab.git("ls-remote", str(shared), "refs/planner/claims/*").splitlines()
    assert len(refs) == tasks
