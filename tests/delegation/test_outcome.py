"""The outcome of a task at the end of its run; docs/delegation.md lists the same outcomes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import get_args

import pytest

from git_planner.rules.delegation import task_prompt
from git_planner.rules.delegation.outcome import (
    OUTCOMES,
    RESULT_STATUSES,
    ResultStatus,
    RunEnd,
    TaskResult,
    decide_outcome,
    result_from,
)
from git_planner.rules.planning.directive import Directive
from git_planner.rules.tasks.task import QuestionAnswer, Task, TaskQuestion
from git_planner.rules.tasks.transitions import TRANSITIONS

PAGE = (Path(__file__).parents[2] / "docs" / "delegation.md").read_text(encoding="utf-8")


def result(status: ResultStatus) -> TaskResult:
    question = "which?" if status == "needs_input" else None
    at = "2026-11-28T12:00:00Z"
    return TaskResult(
        "default",
        "task_001",
        "k3v9x2ab",
        1,
        "20261128T120000Z-k3v9x2ab",
        status,
        "so",
        (),
        None,
        question,
        at,
    )


@pytest.mark.parametrize(
    ("how", "reported", "reports", "outcome"),
    [
        ("ended", "done", True, "done"),
        ("ended", None, True, "no_result"),
        ("ended", None, False, "done"),
        ("failed", None, True, "agent_failed"),
        ("failed", None, False, "agent_failed"),
        ("failed", "done", True, "agent_failed"),
        ("failed", "blocked", True, "blocked"),
        ("deadline", None, True, "deadline"),
        ("deadline", "done", True, "deadline"),
        ("deadline", "needs_input", True, "needs_input"),
        ("lost", None, True, "lost"),
        ("lost", None, False, "lost"),
        ("lost", "done", True, "done"),
        ("lost", "partial", True, "partial"),
        ("interrupted", None, False, "interrupted"),
        ("interrupted", "done", True, "done"),
        ("interrupted", "failed", True, "failed"),
    ],
)
def test_each_way_to_end_has_one_outcome(
    how: RunEnd, reported: ResultStatus | None, reports: bool, outcome: str
) -> None:
    decision = decide_outcome(how, "words", result(reported) if reported else None, None, reports=reports)
    assert decision.outcome == outcome
    assert decision.take == (outcome == "done")


def test_every_combination_has_a_known_outcome_and_an_allowed_status() -> None:
    combinations = itertools.product(
        get_args(RunEnd), (None, *RESULT_STATUSES), (None, "broken"), (True, False)
    )
    for how, reported, unusable, reports in combinations:
        decision = decide_outcome(
            how, "words", result(reported) if reported else None, unusable, reports=reports
        )
        assert decision.status in TRANSITIONS["in_progress"]
        assert (decision.outcome == "bad_result") == (unusable is not None)
        assert decision.take <= (decision.outcome == "done")


def test_a_result_comes_back_from_its_document() -> None:
    for status in RESULT_STATUSES:
        assert result_from(result(status).document()) == result(status)


def test_the_page_lists_every_outcome() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", PAGE, re.MULTILINE)
    assert {name: (status, meaning) for name, status, meaning in rows} == OUTCOMES


TASK = Task(
    "task_007",
    "k3v9x2ab",
    "Make it smaller",
    intent="It is large",
    actions=("write 90",),
    write_scope=("src/**",),
    acceptance=("it is smaller",),
    verify=(("python", "-c", "print(1)"),),
    notes=("mind the gap",),
    inputs=(
        TaskQuestion(
            "2026-11-28T12:00:00Z",
            "a",
            "How small?",
            answer=QuestionAnswer("2026-11-28T12:00:00Z", "b", "90"),
        ),
    ),
)


def test_a_prompt_is_complete_and_a_truncated_one_keeps_its_rules() -> None:
    setting = task_prompt.TaskContext(
        "default", "less", "RUN", policy=["never: tests/**"], handoff="x" * 50_000
    )
    complete = task_prompt.render_task_prompt("FIXED", TASK, setting, 100_000)
    for text in ("FIXED", "task_007", "It is large", "write 90", "src/**", "it is smaller", "mind the gap"):
        assert text in complete
    for text in ("How small?", "90", "never: tests/**", "task result task_007 --run RUN --status done"):
        assert text in complete
    cut = task_prompt.render_task_prompt("FIXED", TASK, setting, 4000)
    assert len(cut) <= 4000
    assert "FIXED" in cut
    assert "--status needs_input" in cut
    assert "(cut)" in cut


@pytest.mark.parametrize("actions", [(), ("one",), tuple(f"step {number}" for number in range(30))])
def test_a_directive_fits_its_schema(actions: tuple[str, ...]) -> None:
    from git_planner import documents

    directive = task_prompt.task_directive(Task("task_001", "k3v9x2ab", "t" * 200, actions=actions))
    assert isinstance(directive, Directive)
    assert documents.validate("directive", directive.document()) == []
