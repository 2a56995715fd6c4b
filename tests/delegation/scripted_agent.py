"""A plan with tasks for tests, and a shell script as the agent that they are delegated to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from git_planner.flows.runs.store import Run, list_runs
from git_planner.flows.tasks.edit import read_tasks
from git_planner.rules.tasks.task import Task
from tests.support.lab import Lab, Ran
from tests.support.small_campaign import agent, agent_file

POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
scope: {{allow: ["src/**", "docs/**"]}}
metrics:
  - {{name: cost, run: [cat, src/value], pattern: '(\\d+)', unit: points, better: lower, kind: deterministic,
     timeout: 20}}
agents:
  implementer: command
  command: {{implementer: {{run: [sh, "{agent}"], timeout: {timeout}}}}}
"""
# How an agent calls the handshake: in the tests, git-planner is the one that is tested.
SAY = 'git-plan task result "$GIT_PLANNER_TASK" --run "$GIT_PLANNER_RUN"'
DONE = f"{SAY} --status done --summary 'did it'"
# Who was begun, one line an agent, in a file that all agents share.
NOTE = 'echo "$GIT_PLANNER_TASK $GIT_PLANNER_RUN" >>"{begun}"'


def bench(lab: Lab, *tasks: Sequence[str], timeout: float = 20) -> None:
    """Give a laboratory a policy, an agent and tasks: each the arguments of 'git plan task add'."""
    files = {
        ".git-planner.yml": POLICY.format(agent=agent_file(lab), timeout=timeout),
        "src/value": "100\n",
        "tests/test_it": "guarded\n",
    }
    lab.commit("the bench", files)
    works(lab, "echo 90 >src/value", DONE)
    for words in tasks:
        ran = lab.run("git-plan", "task", "add", *words)
        assert ran.status == 0, ran.err


def works(lab: Lab, *script: str) -> None:
    """Say what the agent does next time; it notes that it was begun."""
    agent(lab, "\n".join(["set -e", NOTE.format(begun=lab.root / "begun"), *script]))


def begun(lab: Lab) -> list[str]:
    """The tasks whose agents were begun, each time they were."""
    place = lab.root / "begun"
    return [line.split()[0] for line in place.read_text().splitlines()] if place.exists() else []


def delegate(lab: Lab, *argv: str) -> tuple[int, dict[str, Any]]:
    """Run 'git plan delegate --json' and return its status and document."""
    ran = lab.run("git-plan", "delegate", "--json", *argv)
    assert ran.out, ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return ran.status, found


def refused(ran: Ran) -> str:
    """The code of the error that a command ended with."""
    assert ran.status != 0, ran.out
    return str(json.loads(ran.out)["code"])


def task(lab: Lab, name: str = "task_001") -> Task:
    """A task as it stands."""
    with lab.entered():
        return read_tasks(lab.repo, "default").task(name)


def kept(lab: Lab) -> list[Run]:
    """The runs that are kept, oldest first."""
    with lab.entered():
        return list_runs(lab.repo)
