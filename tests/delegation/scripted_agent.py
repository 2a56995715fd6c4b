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
  sandbox: off
  implementer: command
  command: {{implementer: {{run: [sh, "{agent}"], timeout: {timeout}}}}}
"""
# The handshake command of an agent; in the tests, git-planner is the program under test.
RESULT_COMMAND = 'git-plan task result "$GIT_PLANNER_TASK" --run "$GIT_PLANNER_RUN"'
DONE = f"{RESULT_COMMAND} --status done --summary 'did it'"
# Append a line per started agent to a shared file.
LOG_START = 'echo "$GIT_PLANNER_TASK $GIT_PLANNER_RUN" >>"{log}"'


def set_up_lab(lab: Lab, *tasks: Sequence[str], timeout: float = 20) -> None:
    """Give a laboratory a policy, an agent and tasks: each the arguments of 'git plan task add'."""
    files = {
        ".git-planner.yml": POLICY.format(agent=agent_file(lab), timeout=timeout),
        "src/value": "100\n",
        "tests/test_it": "guarded\n",
    }
    lab.commit("the bench", files)
    set_agent_script(lab, "echo 90 >src/value", DONE)
    for argv in tasks:
        ran = lab.run("git-plan", "task", "add", *argv)
        assert ran.status == 0, ran.err


def set_agent_script(lab: Lab, *script: str) -> None:
    """Set the script of the next agents; each appends its start to the log."""
    agent(lab, "\n".join(["set -e", LOG_START.format(log=lab.root / "begun"), *script]))


def started_tasks(lab: Lab) -> list[str]:
    """Return the task of every started agent, in order."""
    path = lab.root / "begun"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def delegate(lab: Lab, *argv: str) -> tuple[int, dict[str, Any]]:
    """Run 'git plan delegate --json' and return its status and document."""
    ran = lab.run("git-plan", "delegate", "--json", *argv)
    assert ran.out, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return ran.status, document


def error_code(ran: Ran) -> str:
    """Return the error code of a failed command."""
    assert ran.status != 0, ran.out
    return str(json.loads(ran.out)["code"])


def task(lab: Lab, name: str = "task_001") -> Task:
    """Read a task of the default plan."""
    with lab.entered():
        return read_tasks(lab.repo, "default").task(name)


def saved_runs(lab: Lab) -> list[Run]:
    """Return the saved runs, oldest first."""
    with lab.entered():
        return list_runs(lab.repo)
