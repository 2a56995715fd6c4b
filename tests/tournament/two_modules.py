"""A tournament of two modules for tests: the cost is the sum of a number in each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from git_planner.flows.tournament.run_store import RunStore, RunView
from git_planner.gitio.repository import open_repository
from tests.support.lab import Lab, Ran
from tests.tournament.tournament_lab import gated_run

POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
correctness: {run: [sh, tests/check.sh, "{proof}"], proof: junit, timeout: 20}
metrics:
  - {name: cost, run: [sh, tests/cost.sh], pattern: '(\\d+)', unit: points, better: lower,
     kind: deterministic, timeout: 20}
modules: {alpha: ["src/alpha/**"], beta: ["src/beta/**"]}
"""
# The two numbers may not both be below 50.
CHECK = """\
read alpha <src/alpha/value
read beta <src/beta/value
broken=
if [ "$alpha" -lt 50 ] && [ "$beta" -lt 50 ]; then broken="<failure message='both'/>"; fi
echo "<testsuite><testcase name='it' classname='t'>$broken</testcase></testsuite>" >"$1"
[ -z "$broken" ]
"""
COST = "read alpha <src/alpha/value\nread beta <src/beta/value\necho $((alpha + beta))\n"
BASE = {
    ".git-planner.yml": POLICY,
    "tests/check.sh": CHECK,
    "tests/cost.sh": COST,
    "src/alpha/value": "100\n",
    "src/beta/value": "100\n",
    "README.md": "hello\n",
}
ALPHA, BETA, NOTES = "src/alpha/value", "src/beta/value", "NOTES"
COVERAGE = {
    "goals": ["fast alpha", "fast beta"],
    "variants": ["var1", "var2"],
    "provides": [
        {"module": "alpha@var1", "covers": ["fast alpha"], "evidence_strength": 0.9},
        {"module": "alpha@var2", "covers": ["fast alpha"], "evidence_strength": 0.1},
        {"module": "beta@var1", "covers": ["fast beta"], "evidence_strength": 0.1},
        {"module": "beta@var2", "covers": ["fast beta"], "evidence_strength": 0.9},
    ],
}


def tournament(lab: Lab, variants: Mapping[int, Mapping[str, str]]) -> None:
    """Create the run 'speed' with variants that passed their gates, and judge it."""
    lab.commit("two modules", BASE)
    gated_run(lab, variants)
    ran = lab.run("git-bo4", "judge", "speed")
    assert ran.status in (0, 1), ran.err


def two_halves(lab: Lab) -> None:
    """Create a tournament in which each variant is better in one module; the first one is best alone."""
    tournament(
        lab,
        {1: {ALPHA: "60\n", BETA: "99\n", NOTES: "v1\n"}, 2: {ALPHA: "98\n", BETA: "70\n"}, 3: {NOTES: "\n"}},
    )


def file_in(lab: Lab, name: str, document: Any) -> Path:
    """Write a JSON document beside the repository."""
    path = lab.root / name
    path.write_text(json.dumps(document))
    return path


def command(lab: Lab, *words: str, expect: int = 0) -> Any:
    """Run a command of `git bo4` on the run; return its JSON document."""
    ran: Ran = lab.run("git-bo4", words[0], "speed", *words[1:], "--json")
    assert ran.status == expect, ran.out + ran.err
    return json.loads(ran.out)


def view(lab: Lab) -> RunView:
    """Read the run."""
    return RunStore(open_repository(lab.path), "speed").read()
