"""The offline planner: a valid answer for any packet, and always the same one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner import documents
from git_planner.agents.answer_loop import PlanningAgent, Turn
from git_planner.agents.contract import AnswerKind
from git_planner.agents.offline import OfflineTransport
from git_planner.rules.planning import planning_plan
from tests.agents.cases import Progress, packet, request


def answer(kind: AnswerKind, given_packet: dict[str, Any]) -> dict[str, Any]:
    nowhere = Path("/nonexistent")
    turn = Turn(kind, "", given_packet, nowhere, nowhere, nowhere, nowhere, nowhere, 1, None)
    document = documents.complete_answer(kind, json.loads(OfflineTransport().ask(turn).text))
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("kind", ["directive", "planning-plan"])
def test_answers_a_request(tmp_path: Path, kind: AnswerKind) -> None:
    agent, progress = PlanningAgent(OfflineTransport()), Progress()
    first = agent.plan(request(tmp_path, kind), progress.append)
    again = agent.plan(request(tmp_path / "again", kind), progress.append)
    assert first.document == again.document
    assert (first.model, first.attempts, first.usage.total) == ("offline", 1, 0)
    assert progress == ["asking the planner 'offline', attempt 1 of 3"] * 2


def test_a_directive_follows_the_packet() -> None:
    directive = answer("directive", packet())
    assert directive == {
        "schema": "git-planner/directive@1",
        "objective": "Offline directive: cycles of at most 1440 cycles.",
        "primary_hypothesis": "A small change of family:reduce_loads in src/kernel.py helps."
        " The best value so far is 1441.",
        "strategy_family": "family:reduce_loads",
        "strategy_modifiers": ["offline"],
        "risk": "Low",
        "expected_effect": -1,
        "change_summary": ["One small change of family:reduce_loads in src/kernel.py."],
        "step_plan": [
            "Read src/kernel.py and the last results. The best value so far is 1441.",
            "Make one small change of family:reduce_loads, within the allowed paths.",
            "Run the validation commands and leave the change in the worktree.",
        ],
        "validation": {
            "commands": ["git diff --stat", "git status --short"],
            "pass_criteria": ["Only allowed paths changed.", "cycles of at most 1440 cycles."],
        },
        "next_packet_requests": [],
        "did_web_search": False,
    }


def test_families_take_turns_and_blocked_ones_are_never_used() -> None:
    rule = packet()["strategy_family_constraints"]
    rule |= {"allowed_families": ["family:a", "family:b", "family:c"], "blocked_families": ["family:b"]}
    families = [
        answer("directive", packet(iteration=number, strategy_family_constraints=rule))["strategy_family"]
        for number in (1, 2, 3)
    ]
    assert families == ["family:a", "family:c", "family:a"]


numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(
    values=st.tuples(numbers, numbers, numbers),
    metric=st.sampled_from([None, "lower", "higher"]),
    labels=st.dictionaries(
        st.text("ab_./#-: gitGIT", min_size=1, max_size=300),
        st.just("x"),
        max_size=6,
    ),
    criteria=st.lists(st.text("ab c", min_size=1, max_size=900).filter(str.strip), max_size=20),
)
def test_any_packet_gets_a_valid_answer(
    values: tuple[float | None, float | None, float | None],
    metric: str | None,
    labels: dict[str, str],
    criteria: list[str],
) -> None:
    given_packet = packet(
        best=values[0],
        aspiration=values[1],
        threshold=values[2],
        metric=metric and {"name": "cycles", "unit": "", "better": metric},
        code_context=labels,
        acceptance_criteria=criteria,
    )
    assert documents.validate("directive", answer("directive", given_packet)) == []
    plan = answer("planning-plan", given_packet)
    assert documents.validate("planning-plan", plan) == []
    assert planning_plan.find_step_faults(plan) == []


def test_keeps_the_prompt(tmp_path: Path) -> None:
    planning_request = replace(request(tmp_path), prompt="the prompt")
    PlanningAgent(OfflineTransport()).plan(planning_request, Progress().append)
    kept = planning_request.folder / "attempt-1"
    assert (kept / "prompt.md").read_text() == "the prompt"
    assert json.loads((kept / "outcome.json").read_text())["result"] == "accepted"
