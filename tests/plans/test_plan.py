"""Plans' names, and steps that become tasks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.rules.plans import plan as plans
from tests.support.workshop import planning_plan

EMPTY = plans.new_plan("fast", "be fast", base="b" * 40, base_ref="main", created_at="2026-11-21T00:00:00Z")


def answer(*dependencies: list[str]) -> dict[str, Any]:
    """A planning plan of steps s0, s1, … with their dependencies."""
    step = planning_plan()["steps"][0]
    steps = [{**step, "id": f"s{place}", "dependencies": item} for place, item in enumerate(dependencies)]
    return {**planning_plan(), "steps": steps}


def short(plan: dict[str, Any]) -> list[tuple[str, str | None, str, list[str]]]:
    return [(task["id"], task["step"], task["status"], task["dependencies"]) for task in plan["tasks"]]


def test_a_new_plan_is_valid() -> None:
    assert documents.validate("plan", EMPTY) == []


def test_steps_become_tasks_in_their_order() -> None:
    extended = plans.add_steps(EMPTY, answer([], ["s0"], ["s1", "s0", "s0"]), "d" * 64)
    assert short(extended) == [
        ("task_001", "s0", "todo", []),
        ("task_002", "s1", "todo", ["task_001"]),
        ("task_003", "s2", "todo", ["task_001", "task_002"]),
    ]
    assert extended["planning_plan"] == "d" * 64
    assert documents.validate("plan", extended) == []
    assert EMPTY["tasks"] == []


def test_the_same_planning_plan_changes_nothing() -> None:
    extended = plans.add_steps(EMPTY, answer([]), "d" * 64)
    assert plans.add_steps(extended, answer([]), "d" * 64) == extended


def test_tasks_that_were_begun_or_made_by_hand_stay() -> None:
    extended = plans.add_steps(EMPTY, answer([], []), "d" * 64)
    extended["tasks"][0]["status"] = "in_progress"
    extended["tasks"].append({**extended["tasks"][1], "id": "task_003", "step": None})
    again = plans.add_steps(extended, answer([], ["s0"]), "e" * 64)
    assert short(again) == [
        ("task_001", "s0", "in_progress", []),
        ("task_002", "s1", "cancelled", []),
        ("task_003", None, "todo", []),
        ("task_004", "s0", "todo", []),
        ("task_005", "s1", "todo", ["task_004"]),
    ]
    assert again["tasks"][1]["reason"] == "replaced by the planning plan eeeeeeeeeeee"
    assert plans.count_tasks(again) == {"todo": 3, "in_progress": 1, "cancelled": 1}
    assert documents.validate("plan", again) == []


@given(st.integers(0, 450))
def test_pages_join_to_the_same_plan(count: int) -> None:
    task = plans.add_steps(EMPTY, answer([]), "d" * 64)["tasks"][0]
    whole = {**EMPTY, "tasks": [{**task, "id": f"task_{number:03d}"} for number in range(1, count + 1)]}
    pages = plans.split_plan(whole)
    assert len(pages) == max(1, -(-count // 200))
    assert plans.join_pages(pages) == whole


@pytest.mark.parametrize("name", ["0001-next", "best", "Fast", "../x", "x.lock", "", "a/b", "x\n"])
def test_names_that_no_plan_has(name: str) -> None:
    with pytest.raises(PlannerError) as caught:
        plans.check_new_plan_name(name)
    assert caught.value.code == "E_NAME"
    assert not plans.is_plan_name(name)


@pytest.mark.parametrize(
    ("branch", "slug", "number"),
    [
        ("plan/0003-next", "next", 3),
        ("plan/123456-a-b", "a-b", 123456),
        ("plan/003-next", None, 0),
        ("plan/fast", None, 0),
        ("iter/0003-next", None, 0),
        ("plan/0003-Next", None, 0),
    ],
)
def test_packet_branches(branch: str, slug: str | None, number: int) -> None:
    assert (plans.packet_slug(branch), plans.packet_number(branch)) == (slug, number)
