"""Processes and modules of the commands on records: what the time of a short command consists of."""

from __future__ import annotations

import sys

import pytest

from git_planner.gitio import git as spawning
from tests.support.benchmark_project import attempt, project
from tests.support.lab import Lab

# Measuring, comparing and what they read results with.
SLOW = {
    *("git_planner.flows.measuring.run_benchmark", "git_planner.rules.stats.paired_design", "psutil"),
    *("jsonschema", "detect_secrets", "tempfile", "xml.parsers.expat", "pickle"),
}


def processes(lab: Lab, *argv: str) -> int:
    """The number of gits that a command starts."""
    before = spawning.spawned
    ran = lab.run(*argv)
    assert ran.status == 0, ran.err
    return spawning.spawned - before


def measured(lab: Lab) -> None:
    """A repository with a measured base, and two attempts of one tree, of which the first is measured."""
    project(lab)
    attempt(lab, 1, 90)
    assert lab.run("git-record").status == 0
    attempt(lab, 2, 90)


def test_a_cached_answer_takes_few_processes_and_modules(lab: Lab) -> None:
    lab.prepare("measured", measured)
    assert processes(lab, "git-record") <= 25
    assert processes(lab, "git-record") <= 20
    code = (
        "import sys; from git_planner import cli; assert cli.main('git-record', []) == 0; "
        f"print(sorted({SLOW!r} & sys.modules.keys()))"
    )
    ran = lab.run_program(sys.executable, "-c", code)
    assert ran.out.splitlines()[-1] == "[]", ran.err


@pytest.mark.parametrize("argv", [("best",), ("log", "--all")], ids=" ".join)
def test_lists_take_few_processes_whatever_the_number_of_plans(lab: Lab, argv: tuple[str, ...]) -> None:
    lab.prepare("measured", measured)
    for number in range(12):
        lab.git("branch", f"plan/p{number}", "plan/default" if number % 2 else "main")
    print(processes(lab, "git-record", *argv))
    assert processes(lab, "git-record", *argv) <= 8
