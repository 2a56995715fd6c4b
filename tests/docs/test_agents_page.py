"""The pages of agents and settings say what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from git_planner.agents import command
from git_planner.cli.reference import settings_page
from git_planner.config.settings import environment_variable
from tests.support.lab import Lab

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "agents.md").read_text()
POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**", "agents/**", ".git-planner.yml"]
correctness: {run: [sh, tests/check.sh], proof: exit-status, timeout: 20}
metrics:
  - {name: cost, run: [cat, value], pattern: '([0-9]+)', unit: points, better: lower, kind: deterministic,
     timeout: 20}
"""
# Written into pipelines and shells of users, or read by click.
ELSEWHERE = {
    "GIT_PLANNER_PACKAGE",
    "GIT_PLANNER_PREPARE",
    "GIT_PLANNER_COMPLETE",
    "GIT_PLANNER_PROGRAM_COMPLETE",
}


def blocks(language: str) -> list[str]:
    """Return the code blocks of the page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_scripts_of_the_page_plan_and_change(lab: Lab) -> None:
    plan, change = (block for block in blocks("sh") if block.startswith("# agents/"))
    (agents,) = blocks("yaml")
    files = {
        ".git-planner.yml": POLICY + agents,
        "agents/plan.sh": plan,
        "agents/change.sh": change,
        "tests/check.sh": "grep -q '^[0-9]' value\n",
        "value": "100\n",
    }
    lab.commit("agents of our own", dict(files))
    ran = lab.run("git-iterate", "--json")
    assert ran.status == 0, ran.err
    record = json.loads(ran.out)["record"]
    assert (record["verdict"], record["metrics"][0]["median"]) == ("improved", 90)
    assert lab.git("show", "iter/best:value") == "90"


def test_the_variables_of_the_page_are_those_of_the_code() -> None:
    named = {name for name, _, _ in (*settings_page.VARIABLES, *settings_page.GIVEN_VARIABLES)}
    named |= set(re.findall("GIT_PLANNER_[A-Z_]+", str(settings_page.OTHER_SETTINGS)))
    named |= {environment_variable(name) for name in settings_page.SETTINGS}
    package = ROOT / "git_planner"
    code = "".join(path.read_text() for path in package.rglob("*.py") if "reference" not in path.parts)
    used = set(re.findall(r'"(GIT_PLANNER_[A-Z_0-9]+)"', code))
    assert used - named - ELSEWHERE == set()
    assert set(re.findall("GIT_PLANNER_[A-Z]+", PAGE)) <= named
    given = set(re.findall("GIT_PLANNER_[A-Z]+", str(command.__doc__)))
    assert given <= {name for name, _, _ in settings_page.GIVEN_VARIABLES}
