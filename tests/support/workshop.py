"""A small repository for end-to-end commands: a number in a file, a fast benchmark, patches to change it."""

from __future__ import annotations

import json
from typing import Any

from tests.support.lab import Lab

POLICY = """\
schema: git-planner/policy@1
base: main
guard: [tests/**]
scope: {allow: [src/**]}
correctness:
  run: [python, -I, -S, tests/prove.py, "{proof}"]
  proof: junit
  timeout: 20
metrics:
  - name: size
    run: [python, -I, -S, tests/size.py]
    pattern: '^SIZE: (\\d+)$'
    unit: lines
    better: lower
    kind: deterministic
    timeout: 20
families: {names: [shrink, reuse], streak: 2, bonus_streak: 3, bonus_gain: 10}
agents: {planner: offline, implementer: patches, patches: patches, attempts: 1}
"""
PROVE = """\
import sys
sound = int(open("src/size.txt").read()) > 0
case = '<testcase classname="tests" name="positive">' + ("" if sound else "<failure/>") + "</testcase>"
open(sys.argv[1], "w").write(f"<testsuite>{case}</testsuite>")
sys.exit(not sound)
"""
SIZE = 'print("SIZE: " + open("src/size.txt").read().strip())\n'


def patch(before: int, after: int) -> str:
    """Return a diff that changes the number."""
    name = "src/size.txt"
    return f"--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-{before}\n+{after}\n"


FILES = {
    ".git-planner.yml": POLICY,
    "src/size.txt": "100\n",
    "tests/prove.py": PROVE,
    "tests/size.py": SIZE,
    "patches/1.patch": patch(100, 90),
    "patches/2.patch": patch(90, 80),
}


def workshop(lab: Lab) -> Lab:
    """Commit the files of a workshop to a laboratory's branch."""

    def commit_files(lab: Lab) -> None:
        lab.commit("a number, its tests and its policy", FILES)

    return lab.prepare("workshop", commit_files)


def directive(**changes: Any) -> dict[str, Any]:
    """Return a valid directive with some fields changed; None omits a field."""
    document = {
        "schema": "git-planner/directive@1",
        "objective": "Make the number smaller",
        "primary_hypothesis": "A smaller number is enough",
        "strategy_family": "family:shrink",
        "strategy_modifiers": [],
        "risk": "Low",
        "expected_effect": -10,
        "change_summary": ["the number becomes smaller"],
        "step_plan": ["read it", "make it smaller", "look again"],
        "validation": {"commands": ["python tests/size.py"], "pass_criteria": ["it is smaller"]},
        "next_packet_requests": [],
        "did_web_search": False,
        **changes,
    }
    return {key: value for key, value in document.items() if value is not None}


def planning_plan(**step: Any) -> dict[str, Any]:
    """Return a valid planning plan of one step, with some fields of the step changed."""
    return {
        "schema": "git-planner/planning-plan@1",
        "plan_summary": "Make the number smaller",
        "rationale": "It is large",
        "focus_metrics": ["size"],
        "guardrails": ["no change of tests"],
        "risks": ["it becomes negative"],
        "validation": ["the tests pass"],
        "steps": [
            {
                "id": "one",
                "title": "Shrink",
                "intent": "A smaller number",
                "actions": ["make it smaller"],
                "validation": ["look"],
                **step,
            }
        ],
        "handoff_notes": [],
        "fallback_plan": None,
    }


def one_document(out: str) -> Any:
    """Parse stdout, which must be exactly one JSON document."""
    return json.loads(out)
