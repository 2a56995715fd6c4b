"""Processes of the guard: a refusal asks git once what two trees differ in."""

from __future__ import annotations

from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.gitio import git as spawning
from tests.support.benchmark_project import attempt, project
from tests.support.lab import Lab


def test_a_refusal_lists_the_differences_once(lab: Lab) -> None:
    base = project(lab)
    attempt(lab, 1, 90)
    tip = lab.commit("evil", {"tests/test_value.py": "x\n", "src/conftest.py": "x\n", "json.py": "x\n"})
    checker = GuardChecker(lab.repo)
    before = spawning.spawned
    codes = sorted({difference.code for difference in checker.differences(base, tip)})
    assert codes == ["guard", "shadow", "start-up"]
    # A reader of objects, and one listing; the same commit again costs nothing.
    assert spawning.spawned - before <= 3
    again = spawning.spawned
    assert len(checker.differences(base, tip)) >= 3
    assert [*checker.anchors(tip)] == [*checker.anchors(tip)] == [base]
    assert spawning.spawned - again <= 2
