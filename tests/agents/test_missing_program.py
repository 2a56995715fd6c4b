"""A missing agent's program is told before anything is measured, committed or paid for it."""

from __future__ import annotations

import os

import pytest

from git_planner.agents.registry import make_critic
from git_planner.config.policy_file import parse_policy
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from tests.support.benchmark_project import POLICY, project
from tests.support.lab import Lab

COMMANDS = (
    ("git-iterate",),
    ("git-iterate", "--loop", "--max-attempts", "2"),
    ("git-iterate", "--planner", "offline"),
    ("git-iterate", "--planner", "codex", "--impl", "patches"),
    ("git-plan", "codex"),
    ("git-plan", "api"),
    ("git-plan", "research"),
    ("git-plan", "delegate"),
)


def test_a_critic_s_program_is_looked_for_first(lab: Lab) -> None:
    project(lab, POLICY)
    lab.git("config", "planner.gemini", "no-such-gemini")
    policy = parse_policy(POLICY.encode(), "the policy")
    with pytest.raises(PlannerError, match="'no-such-gemini' is not on PATH") as refused:
        make_critic("gemini", policy, read_settings(lab.repo), lab.repo)
    assert (refused.value.code, "npm install" in str(refused.value.hint)) == ("E_MISSING_TOOL", True)


@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
def test_nothing_is_done_without_the_program(lab: Lab, argv: tuple[str, ...]) -> None:
    mark = lab.root / "measured"
    project(lab, POLICY.replace("[python, tests/bench.py]", f"[sh, -c, 'touch {mark}; echo CYCLES: 1']"))
    (lab.root / "patches").mkdir()
    (lab.root / "patches" / "1.diff").write_text("")
    lab.git("config", "planner.patches", str(lab.root / "patches"))
    lab.git("config", "planner.codex", "no-such-codex")
    if argv[1:] == ("delegate",):
        assert lab.run("git-plan", "task", "add", "one", "--write-scope", "src/**").status == 0
    before = lab.refs()
    ran = lab.run(*argv)
    assert (ran.status, "'no-such-codex' is not on PATH (E_MISSING_TOOL)" in ran.err) == (4, True), ran.err
    assert "hint: " in ran.err
    assert not mark.exists()
    assert lab.refs() == before
    assert not os.path.exists(lab.root / "repo.iter")
