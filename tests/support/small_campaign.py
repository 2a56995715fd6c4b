"""A small campaign for tests: a number in a file, guarded tests, and a shell script as agent."""

from __future__ import annotations

from pathlib import Path

from git_planner.flows.iterations.iterate import IterateOptions, IterationResult, iterate
from tests.support.lab import Lab

POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
scope: {{allow: ["value", "notes/**"]}}
metrics:
  - {{name: cost, run: [cat, value], pattern: '(\\d+)', unit: points, better: lower, kind: deterministic,
     timeout: 20}}
agents:
  sandbox: off
  planner: offline
  implementer: command
  command: {{implementer: {{run: [sh, "{agent}"], timeout: {timeout}}}}}
"""
STATES = "refs/planner/iterations/"


def hush(_: str) -> None:
    """Ignore a progress message."""


def campaign(lab: Lab, *, timeout: float = 20, start: str = "100") -> None:
    """Commit a policy, a value to lower and guarded tests to a laboratory."""
    policy = POLICY.format(agent=agent_file(lab), timeout=timeout)
    files = {".git-planner.yml": policy, "value": f"{start}\n", "tests/test_it": "guarded\n"}
    lab.commit("the campaign", files)
    agent(lab, "true")


def agent_file(lab: Lab) -> Path:
    """Return the path of the agent's script."""
    return lab.root / "agent.sh"


def agent(lab: Lab, script: str) -> None:
    """Write the script that the agent runs next."""
    agent_file(lab).write_text(script + "\n")


def attempt(lab: Lab, script: str, **options: object) -> IterationResult:
    """Run one iteration with an agent that runs a script in its worktree."""
    agent(lab, script)
    return iterate(lab.repo, IterateOptions(**options), hush)  # type: ignore[arg-type]


def sound(lab: Lab) -> None:
    """Assert that `git fsck` passes and every iteration ref has a complete state commit."""
    lab.fsck()
    for ref, oid in lab.refs().items():
        if ref.startswith(STATES):
            assert lab.git("show", "--name-only", "--format=", oid) == ".advisor/state.json"
