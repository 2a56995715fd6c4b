"""Pages of a plan: a task's page follows from its number alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.errors import PlannerError
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.refnames import MAX_NUMBER, next_number
from git_planner.rules.tasks.task import new_numbers, task_id_for, task_number
from tests.support.lab import Lab


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, "plan.json"), (200, "plan.json"), (201, "plan-0002.json"), (5000, "plan-0025.json")],
)
def test_the_page_of_a_number(number: int, name: str) -> None:
    assert pages.page_name(number) == name
    assert pages.is_page(name)


@pytest.mark.parametrize("text", ["task_", "task_0", "task_x", "007", "../task_1", "task_1 ", "task_\u0661"])
def test_what_is_no_task(text: str) -> None:
    with pytest.raises(PlannerError) as caught:
        task_number(text)
    assert caught.value.code == "E_NAME"


@given(st.sets(st.integers(1, 9) | st.integers(MAX_NUMBER - 3, MAX_NUMBER), max_size=9))
def test_a_next_number_is_free_and_has_room(taken: set[int]) -> None:
    number = next_number(taken)
    assert 1 <= number <= MAX_NUMBER
    assert number not in taken
    assert number == 1 or number - 1 in taken
    if MAX_NUMBER not in taken:
        assert number == max(taken, default=0) + 1


def test_a_task_with_the_last_number_does_not_end_all_adding(lab: Lab) -> None:
    lab.commit("policy", {".git-planner.yml": "schema: git-planner/policy@1\ncorrectness: {run: [x]}\n"})
    assert lab.run("git-plan", "task", "add", "one").status == 0
    plan = lab.show("plan/default:.plans/default/plan.json")
    lab.rival("refs/heads/plan/default", ".plans/default/plan.json", plan.replace("_001", f"_{MAX_NUMBER}"))
    added = lab.run("git-plan", "task", "add", "two")
    assert (added.status, added.out.split()[0]) == (0, "task_001"), added.err
    numbers = new_numbers([MAX_NUMBER, 3])
    assert [next(numbers), next(numbers)] == [4, 5]


@given(st.lists(st.integers(1, 3000), unique=True))
def test_split_and_in_order_give_every_task_back_in_order(numbers: list[int]) -> None:
    split = pages.split_tasks({"id": task_id_for(number)} for number in numbers)
    again = [task["id"] for name in pages.sort_pages(split) for task in split[name]]
    assert again == [task_id_for(number) for number in sorted(numbers)]


VALUES = st.lists(st.text('ab"\\\n{}[],: é\u2028') | st.floats(0, 1e20) | st.none(), max_size=3)
TASKS = st.dictionaries(
    st.integers(1, 12).map(task_id_for),
    st.fixed_dictionaries({"uid": VALUES}, optional={"a": VALUES, "tasks": VALUES}),
    min_size=1,
)


@given(TASKS, TASKS)
def test_replacing_tasks_in_a_text_is_writing_them_anew(
    before: dict[str, dict[str, object]], fresh: dict[str, dict[str, object]]
) -> None:
    def page(tasks: dict[str, dict[str, object]]) -> bytes:
        return canonical_json.dumps(
            {"goal": "\n    }", "tasks": [{**tasks[other], "id": other} for other in sorted(tasks)]}
        )

    texts = {item: canonical_json.dumps_small({**task, "id": item}) for item, task in fresh.items()}
    replaced = pages.replace_tasks(page(before), texts)
    assert replaced == (page(before | fresh) if fresh.keys() <= before.keys() else None)


def test_a_page_in_another_form_is_not_replaced_in() -> None:
    for page in (b"", b'{"tasks": [{"id": "task_001"}]}', b'\n      "id": "task_001",\n'):
        assert pages.replace_tasks(page, {"task_001": b"{}\n"}) is None


def test_other_files_are_no_pages() -> None:
    names = ["plan-0010.json", "plan.json", "CONTEXT.md", "plan-2.json", "plan-0002.json", "my-plan.json"]
    assert pages.sort_pages(names) == ["plan.json", "plan-0002.json", "plan-0010.json"]
    assert [task_number(item) for item in ("TASK-007", "task_7", "task_1000")] == [7, 7, 1000]
