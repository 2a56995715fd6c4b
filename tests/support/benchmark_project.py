"""A small project to measure: a value, a test that reads it and a benchmark that prints it."""

from __future__ import annotations

from typing import Any

from git_planner.rules.documents import canonical_json
from git_planner.rules.planning.directive import Directive, IterationState
from tests.support.lab import Lab

POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
scope: {allow: ["src/**"], forbid: ["src/frozen.py"]}
correctness: {run: [python, -m, unittest, -v, tests.test_value], proof: unittest, timeout: 20}
metrics:
  - {name: cycles, run: [python, tests/bench.py], pattern: 'CYCLES: (\\d+)', unit: cycles,
     better: lower, kind: deterministic, repeats: 1, timeout: 20}
families: {names: [schedule, break_deps], streak: 2, bonus_streak: 3, bonus_gain: 10}
"""

TEST = """\
import unittest
from src.value import VALUE


class ValueTest(unittest.TestCase):
    def test_is_positive(self):
        self.assertGreater(VALUE, 0)

    def test_is_whole(self):
        self.assertEqual(VALUE, int(VALUE))
"""

BENCH = """\
import sys
sys.path.insert(0, ".")
from src.value import VALUE
print("CYCLES:", VALUE)
"""

FILES = {
    ".git-planner.yml": POLICY,
    "src/__init__.py": "",
    "src/value.py": "VALUE = 100\n",
    "src/frozen.py": "",
    "tests/__init__.py": "",
    "tests/test_value.py": TEST,
    "tests/bench.py": BENCH,
}

DIRECTIVE = Directive(
    objective="lower the value",
    primary_hypothesis="a smaller value is smaller",
    strategy_family="family:schedule",
    strategy_modifiers=("bold",),
    risk="Low",
    expected_effect=-10,
    change_summary=("change the value",),
    step_plan=("look", "change", "check"),
    commands=("python -m unittest",),
    pass_criteria=("it passes",),
    next_packet_requests=(),
    did_web_search=False,
)


def project(lab: Lab, policy: str = POLICY, **files: str) -> str:
    """Commit the project on main and return the commit."""
    return lab.commit("project", {**FILES, ".git-planner.yml": policy, **files})


def iteration(
    lab: Lab, number: int, base: str, *, slug: str = "next", trusted: bool = True, **fields: Any
) -> IterationState:
    """Start an iteration as planning does: a branch at the base with the state commit."""
    state = IterationState(
        plan="default",
        iteration=number,
        slug=slug,
        branch=f"iter/{number:04d}-{slug}",
        base=lab.git("rev-parse", base),
        base_ref=base,
        goal="best",
        threshold=None,
        packet="0" * 64,
        directive=DIRECTIVE,
        directive_digest=canonical_json.digest(DIRECTIVE.document()),
        planner={"name": "offline", "model": None, "attempts": 1, "seconds": 0.0},
        created_at="2026-11-21T00:00:00Z",
    )
    for name, value in fields.items():
        state = IterationState(
            **{**{field: getattr(state, field) for field in state.__dataclass_fields__}, name: value}
        )
    lab.git("checkout", "-q", "-b", state.branch, state.base)
    start = lab.commit("state", {".advisor/state.json": canonical_json.dumps(state.document())})
    if trusted:
        lab.git("update-ref", f"refs/planner/iterations/{number:04d}", start)
    return state


def attempt(lab: Lab, number: int, value: int | str, base: str = "main") -> str:
    """An iteration with one commit that sets the value; returns the commit."""
    iteration(lab, number, base)
    return lab.commit(f"value {value}", {"src/value.py": f"VALUE = {value}\n"})
