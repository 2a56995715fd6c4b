"""Steps of 'prepare' and 'build': run once a set of inputs, kept, and shown to measured commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from git_planner.flows.records.ledger import read_ledger
from tests.support.benchmark_project import attempt, project
from tests.support.lab import Lab

# The value that is measured is in the tree, and what the tests need comes from a step.
PREPARING = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
{jail}
prepare:
  - name: dependencies
    run: [sh, -c, "{command}"]
    inputs: [lock.txt]
    outputs: [vendored]
    {more}
correctness: {{run: [python, -m, unittest, -v, tests.test_value], proof: unittest, timeout: 20}}
metrics:
  - {{name: cycles, run: [python, tests/bench.py], pattern: 'CYCLES: (\\d+)', unit: cycles,
     better: lower, kind: deterministic, repeats: 2, timeout: 20}}
"""
COMMAND = "test ! -e src && mkdir vendored && cat lock.txt > vendored/answer.py && echo made"
TEST = """\
import unittest
from src.value import VALUE
from vendored.answer import ANSWER


class ValueTest(unittest.TestCase):
    def test_is_positive(self):
        self.assertGreater(VALUE, 0)

    def test_answer(self):
        self.assertEqual(ANSWER, 42)
"""


def preparing(lab: Lab, *, jail: str = "auto", command: str = COMMAND, more: str = "", **files: str) -> str:
    """Commit a project that needs a prepared folder."""
    policy = PREPARING.format(jail=f"jail: '{jail}'", command=command, more=more)
    contents = {"lock.txt": "ANSWER = 42\n", "tests/test_value.py": TEST, **files}
    return project(lab, policy, **contents)


def record(lab: Lab, *options: str) -> dict[str, Any]:
    """Record HEAD and return the document."""
    ran = lab.run("git-record", "--json", *options)
    assert ran.out, ran.err
    document: dict[str, Any] = json.loads(ran.out)["record"]
    return document


def kept(lab: Lab) -> list[Path]:
    """Return the kept outputs of steps."""
    folder = Path(lab.env["XDG_CACHE_HOME"]) / "git-planner" / "prepared"
    return sorted(path for path in folder.iterdir() if path.is_dir())


@pytest.mark.parametrize("jail", ["auto", "off"])
def test_a_step_makes_what_the_tests_need_once(lab: Lab, jail: str) -> None:
    preparing(lab, jail=jail)
    attempt(lab, 1, 90)

    first = record(lab)

    assert first["verdict"] == "improved", first
    assert "prepare-dependencies" not in first["seconds"], "the base's outputs are taken"
    assert "prepare-dependencies" in read_ledger(lab.repo, "default")[0].seconds
    assert len(kept(lab)) == 1
    attempt(lab, 2, 80)
    second = record(lab)
    assert second["verdict"] == "improved"
    assert "prepare-dependencies" not in second["seconds"]
    assert lab.git("status", "--porcelain") == ""
