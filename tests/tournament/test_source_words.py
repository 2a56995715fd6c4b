"""Words, numbers and ids that come from a service."""

from __future__ import annotations

import pytest

from git_planner.errors import PlannerError
from git_planner.rules.tournament.source import (
    PolledVariant,
    check_task_id,
    source_state,
    state_of_variants,
    variant_number,
)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("READY", "ready"),
        ("applied", "ready"),
        ("completed", "ready"),
        ("in-progress", "working"),
        ("In Progress", "working"),
        ("pending", "pending"),
        ("error", "failed"),
        ("Canceled", "cancelled"),
        ("unknown", "unknown"),
        ("half-baked", "unknown"),
    ],
)
def test_words_in_any_case(word: str, state: str) -> None:
    assert source_state(word) == (state, word)


def test_words_that_are_none() -> None:
    assert source_state(None) == ("unknown", "")
    assert source_state(7) == ("unknown", "(int)")
    assert source_state("x\n" * 100) == ("unknown", ("x " * 30).strip())
    assert source_state("  ") == ("unknown", "(str)")


def test_numbers_and_ids() -> None:
    assert [variant_number(value) for value in (1, "2", 999, 1000, 0, True, 1.0, "01", "x")] == [
        *(1, 2, 999, None, None, None, None, 1, None)
    ]
    assert check_task_id(" https://x.example/codex/tasks/task_e_1/?tab=2 ") == "task_e_1"
    assert check_task_id("demo-headless") == "demo-headless"
    for text in ("-x", "a/b", "..", "a..b", "", "a b", "https://x.example/../", "x" * 201, "a\n"):
        if text == "a\n":
            assert check_task_id(text) == "a"
            continue
        with pytest.raises(PlannerError):
            check_task_id(text)


def test_a_task_of_which_only_the_variants_are_known() -> None:
    ready, failed, working = (PolledVariant(1, state) for state in ("ready", "failed", "working"))  # type: ignore[arg-type]
    assert state_of_variants([]) == "unknown"
    assert state_of_variants([ready, failed]) == "ready"
    assert state_of_variants([ready, working]) == "working"
    assert state_of_variants([failed, failed]) == "failed"
