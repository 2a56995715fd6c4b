"""Branches and tags whose names leave no room for ours: told before anyone is paid, and by what fails."""

from __future__ import annotations

import json

import pytest

from tests.support.lab import Lab
from tests.support.workshop import workshop

BRANCHES = {"refs/heads/plan": "branch", "refs/heads/iter": "branch", "refs/heads/bo4": "branch"}


@pytest.mark.parametrize("ref", [*BRANCHES, "refs/tags/best"])
def test_a_name_in_the_way_is_told_before_anyone_is_paid(lab: Lab, ref: str) -> None:
    workshop(lab)
    lab.git("update-ref", ref, "HEAD")
    name, before = ref.rsplit("/", 1)[1], lab.refs()
    kind = BRANCHES.get(ref, "tag")
    message = f"the {kind} '{name}' blocks '{name}/…': git keeps only one of them"
    assert f"next: {message}; give it another name: " in lab.run("git-planner", "init").out
    report = json.loads(lab.run("git-planner", "doctor", "--json").out)
    findings = [finding for finding in report["findings"] if finding["code"] == "name-blocked"]
    assert [(finding["message"], finding["target"]) for finding in findings] == [(message, ref)]
    for command in (("git-iterate",), ("git-plan", "offline"), ("git-plan", "delegate")):
        ran = lab.run(*command)
        assert (ran.status, ran.err.splitlines()[0]) == (3, f"error: {message} (E_BLOCKED)"), command
        assert "asking the planner" not in ran.err
    assert lab.refs() == before


@pytest.mark.parametrize("name", ["plan/default", "iter/best"])
def test_a_branch_below_a_name_of_the_plan_is_told_before_anyone_is_paid(lab: Lab, name: str) -> None:
    workshop(lab)
    lab.git("branch", f"{name}/mine")
    message = f"the branch '{name}/mine' blocks '{name}': git keeps only one of them"
    assert f"next: {message}; give it another name: " in lab.run("git-planner", "init").out
    report = json.loads(lab.run("git-planner", "doctor", "--json").out)
    findings = [finding for finding in report["findings"] if finding["code"] == "name-blocked"]
    assert [finding["message"] for finding in findings] == [message]
    for command in (("git-iterate",), ("git-plan", "offline"), ("git-plan", "delegate")):
        ran = lab.run(*command)
        assert (ran.status, ran.err.splitlines()[0]) == (3, f"error: {message} (E_BLOCKED)"), command
    ran = lab.run("git-iterate", "best", "ensure")
    assert (ran.status, "(E_BLOCKED)" in ran.err) == (3, True), ran.err


def test_the_command_that_fails_names_the_branch_in_the_way(lab: Lab) -> None:
    workshop(lab)
    lab.git("branch", "plan/default/mine")
    ran = lab.run("git-plan", "task", "add", "x")
    assert ran.status == 3
    assert ran.err == (
        "error: the branch 'plan/default/mine' blocks 'plan/default': "
        "git keeps only one of them (E_BLOCKED)\n"
        "hint: give it another name: git branch -m plan/default/mine NEW_NAME\n"
    )
    lab.git("branch", "-m", "plan/default/mine", "plan")
    ran = lab.run("git-plan", "task", "add", "x")
    assert (ran.status, "'plan' blocks 'plan/" in ran.err) == (3, True), ran.err


def test_a_branch_of_a_remote_in_the_way_is_told(lab: Lab) -> None:
    workshop(lab)
    lab.git("init", "-q", "--bare", str(lab.root / "origin.git"))
    lab.git("remote", "add", "origin", str(lab.root / "origin.git"))
    lab.git("push", "-q", "origin", "main", "main:plan")
    assert lab.run("git-plan", "task", "add", "x").status == 0
    ran = lab.run("git-plan", "push")
    assert (ran.status, "'origin/plan' blocks" in ran.err, "(E_BLOCKED)" in ran.err) == (3, True, True), (
        ran.err
    )
    report = json.loads(lab.run("git-planner", "doctor", "--json").out)
    assert "refs/remotes/origin/plan" in [finding["target"] for finding in report["findings"]]
