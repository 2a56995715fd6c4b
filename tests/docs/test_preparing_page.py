"""Examples of docs/preparing.md: each is a valid policy, and the table of keys is complete."""

from __future__ import annotations

import re
from pathlib import Path

from git_planner.config.policy_file import parse_policy
from git_planner.rules.policy.steps import PreparingStep
from git_planner.rules.records.row import REASONS

PAGE = (Path(__file__).parents[2] / "docs" / "preparing.md").read_text()
HEAD = "schema: git-planner/policy@1\nguard: ['tests/**']\n"
TESTS = "correctness: {run: [make, check]}\n"


def test_the_examples_are_policies() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        text = HEAD + example + ("" if "correctness" in example else TESTS)
        assert parse_policy(text.encode(), "p.yml").steps


def test_the_page_has_every_key_and_reason() -> None:
    keys = set(PreparingStep._fields) - {"is_build"}
    assert keys == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    named = {"working_tree", "unprepared", "prepare_failed", "build_failed"}
    assert named <= REASONS.keys()
    assert all(f"`{reason}`" in PAGE for reason in named)
