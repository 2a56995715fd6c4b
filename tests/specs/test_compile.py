"""A change compiled into a plan, again and again: identity, status, evidence; and what overrides say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.errors import PlannerError
from git_planner.rules.documents.markdown import parse_outline
from git_planner.rules.specs import context_text
from git_planner.rules.specs.change import SpecChange
from git_planner.rules.specs.compile import (
    CompileDefaults,
    CompileEffect,
    CompileStamp,
    merge_change,
    task_ids,
)
from git_planner.rules.specs.overrides import Overrides, overrides_from
from git_planner.rules.specs.parse_items import derive_key, parse_items
from git_planner.rules.tasks.task import SpecOrigin, Task, TaskEvidence, derive_uid
from git_planner.rules.tasks.transitions import add_evidence, move_task, start_task

STAMP = CompileStamp("2026-11-28T12:00:00Z", "C O Mitter <committer@example.com>")
NOTE = "its box is ticked in openspec/changes/add-x/tasks.md"
GONE = "no longer in openspec/changes/add-x/tasks.md"
MAKE = (("make", "check"),)
VERIFIED = TaskEvidence("verified", STAMP.at, "x", 1, "a" * 40, "b" * 40, ok=True)


def change(text: str) -> SpecChange:
    items, faults = parse_items(parse_outline(text), "tasks.md")
    assert faults == ()
    return SpecChange("add-x", "goal", (), ("stays",), (), items, (), ())


def compiled(
    text: str, tasks: list[Task] | None = None, overrides: dict[str, Any] | None = None, verify: Any = MAKE
) -> tuple[list[Task], list[tuple[str, str]]]:
    """The tasks after compiling, and what was done as pairs of kind and id."""
    wishes = CompileDefaults(overrides_from(overrides or {}, "o.json"), verify)
    merged, effects = merge_change(tasks or [], change(text), wishes, STAMP)
    again, more = merge_change(merged, change(text), wishes, STAMP)
    # Compiling twice is compiling once; only what was merely told is told again.
    assert again == merged
    assert {effect.kind for effect in more} <= {"kept", "refused"}
    return merged, [(effect.kind, effect.task) for effect in effects]


def test_items_become_tasks() -> None:
    (one, two), effects = compiled(
        "- [ ] one {#k}\n  - verify: true\n  - files: a\n- [x] two\n  - after: one\n"
    )
    assert one == Task(
        id="task_001",
        uid=derive_uid("spec", "add-x", "k"),
        title="one",
        spec=SpecOrigin("add-x", "k"),
        write_scope=("a",),
        verify=(("true",),),
    )
    assert two == Task(
        id="task_002",
        uid=derive_uid("spec", "add-x", derive_key("two")),
        title="two",
        status="done",
        spec=SpecOrigin("add-x", derive_key("two")),
        dependencies=("task_001",),
        verify=MAKE,
        evidence=(TaskEvidence("manual", STAMP.at, STAMP.by, 1, None, None, ok=True, note=NOTE),),
    )
    assert effects == [("added", "task_001"), ("added", "task_002"), ("done", "task_002")]


def test_two_clones_make_the_same_task() -> None:
    one = compiled("- [ ] a\n- [ ] b\n")[0]
    two = compiled("- [ ] b\n- [ ] a\n")[0]
    assert {task.uid for task in one} == {task.uid for task in two}


def test_tasks_keep_their_number_and_what_became_of_them() -> None:
    (a, b), _ = compiled("- [ ] a\n- [ ] b\n")
    a = move_task(add_evidence(start_task(a, "me", run=None, base=None, branch=None), VERIFIED), "done")
    b = start_task(b, "you", run=None, base="c" * 40, branch="iter/0001-b")
    tasks, effects = compiled("1. [ ] new\n2. [ ] b\n3. [ ] a\n", [a, b])
    assert tasks[:2] == [a, b]
    assert [(task.id, task.title) for task in tasks] == [
        ("task_001", "a"),
        ("task_002", "b"),
        ("task_003", "new"),
    ]
    assert effects == [("added", "task_003")]


def test_a_new_title_keeps_the_task_of_an_explicit_key_only() -> None:
    before, _ = compiled("- [ ] a {#k}\n- [ ] b\n")
    before[0] = start_task(before[0], "me", run=None, base=None, branch=None)
    tasks, effects = compiled("- [ ] A again {#k}\n- [ ] B again\n", before)
    assert tasks[0] == before[0]._replace(title="A again")
    assert effects == [("changed", "task_001"), ("added", "task_003"), ("cancelled", "task_002")]
    assert (tasks[1].status, tasks[1].reason) == ("cancelled", GONE)


def test_what_the_spec_says_is_taken_and_its_silence_too() -> None:
    before, _ = compiled("- [ ] a\n  - files: x\n  - do\n  - done when: y\n- [ ] b\n  - after: a\n")
    tasks, effects = compiled("- [ ] a\n- [ ] b\n", before)
    assert (tasks[0].write_scope, tasks[0].actions, tasks[0].acceptance, tasks[1].dependencies) == (
        (),
        (),
        (),
        (),
    )
    assert effects == [("changed", "task_001"), ("changed", "task_002")]


def test_verify_commands_stay_where_the_spec_names_none() -> None:
    before, _ = compiled("- [ ] a\n- [ ] b\n  - verify: true\n", verify=())
    assert [task.verify for task in before] == [(), (("true",),)]
    before, _ = compiled("- [ ] a\n- [ ] b\n", before)
    assert [task.verify for task in before] == [MAKE, (("true",),)]
    tasks, effects = compiled("- [ ] a\n- [ ] b\n", before, verify=(("other",),))
    assert (tasks, effects) == (before, [])


def test_dependencies_on_tasks_of_others_stay() -> None:
    other = Task("task_007", "another0", "by hand")
    before, _ = compiled("- [ ] a\n- [ ] b\n  - after: a\n", [other])
    assert [task.id for task in before] == ["task_007", "task_008", "task_009"]
    before[2] = before[2]._replace(dependencies=("task_007", "task_008"))
    tasks, _ = compiled("- [ ] a\n- [ ] b\n", before)
    assert tasks[2].dependencies == ("task_007",)
    assert tasks[0] == other


def test_a_tick_is_evidence_and_without_it_the_task_goes_back() -> None:
    before, _ = compiled("- [x] a\n")
    tasks, effects = compiled("- [ ] a\n", before)
    assert effects == [("reopened", "task_001")]
    assert (tasks[0].status, tasks[0].attempt, tasks[0].evidence) == ("todo", 2, before[0].evidence)
    assert tasks[0].reason == "its box is no longer ticked in openspec/changes/add-x/tasks.md"
    ticked, _ = compiled("- [x] a\n", tasks)
    assert (ticked[0].status, [item.attempt for item in ticked[0].evidence]) == ("done", [1, 2])


def test_a_task_that_was_verified_stays_done_without_a_tick() -> None:
    (task,), _ = compiled("- [ ] a\n")
    done = move_task(add_evidence(task, VERIFIED), "done")
    assert compiled("- [ ] a\n", [done]) == ([done], [])
    ticked = compiled("- [x] a\n", [done])[0]
    assert ticked == [done]
    both = add_evidence(compiled("- [x] a\n")[0][0], VERIFIED)
    assert compiled("- [ ] a\n", [both]) == ([both], [])


@pytest.mark.parametrize("status", ["needs_input", "deferred", "cancelled"])
def test_a_tick_does_not_go_round_the_table(status: Any) -> None:
    before = compiled("- [ ] a\n")[0][0]._replace(status=status, reason="so")
    assert compiled("- [x] a\n", [before]) == ([before], [("refused", "task_001")])


@pytest.mark.parametrize("status", ["in_progress", "blocked", "agent_done", "review_ready"])
def test_a_tick_ends_what_is_under_way(status: Any) -> None:
    before = compiled("- [ ] a\n")[0][0]._replace(status=status)
    tasks, effects = compiled("- [x] a\n", [before])
    assert (tasks[0].status, effects) == ("done", [("done", "task_001")])


BEGUN: list[dict[str, Any]] = [
    {"status": "in_progress", "owner": "me"},
    {"status": "todo", "attempt": 2},
    {"status": "blocked", "commits": ("a" * 40,)},
    {"status": "agent_done"},
    {"status": "done", "evidence": (VERIFIED,)},
]


@pytest.mark.parametrize("begun_how", BEGUN)
def test_a_task_that_somebody_began_outlives_its_item(begun_how: dict[str, Any]) -> None:
    before, _ = compiled("- [ ] a\n- [ ] b\n")
    before[0] = before[0]._replace(**begun_how)
    assert compiled("- [ ] b\n", before) == (before, [("kept", "task_001")])


@pytest.mark.parametrize("status", ["todo", "blocked", "deferred"])
def test_a_task_that_nobody_began_does_not_and_can_come_back(status: Any) -> None:
    before, _ = compiled("- [ ] a\n- [ ] b\n")
    before[0] = before[0]._replace(status=status)
    gone, effects = compiled("- [ ] b\n", before)
    assert (gone[0].status, gone[0].reason, effects) == ("cancelled", GONE, [("cancelled", "task_001")])
    back, effects = compiled("- [ ] a\n- [ ] b\n", gone)
    assert (back[0].status, back[0].reason, effects) == ("todo", None, [("restored", "task_001")])


def test_what_a_person_cancelled_stays_so() -> None:
    before, _ = compiled("- [ ] a\n")
    before[0] = move_task(before[0], "cancelled", reason="no need")
    assert compiled("- [ ] a\n", before) == (before, [])


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("abcdef"), st.booleans()), min_size=1, unique_by=lambda pair: pair[0]
        ),
        max_size=5,
    )
)
def test_no_task_is_lost_and_none_is_there_twice(rounds: list[list[tuple[str, bool]]]) -> None:
    tasks: list[Task] = []
    for attempt in rounds:
        text = "".join(f"- [{'x' if ticked else ' '}] {title}\n" for title, ticked in attempt)
        before = {task.id: task for task in tasks}
        tasks = compiled(text, tasks)[0]
        assert before.keys() <= {task.id for task in tasks}
        assert len({task.id for task in tasks}) == len({task.uid for task in tasks}) == len(tasks)
        for task in tasks:
            if task.id in before:
                assert task.evidence[: len(before[task.id].evidence)] == before[task.id].evidence
                assert task.attempt >= before[task.id].attempt
        ticked = {title for title, ticked in attempt if ticked}
        assert {
            task.title for task in tasks if task.status == "done" and task.title in dict(attempt)
        } == ticked


# -- overrides ---------------------------------------------------------------------------------------
SAID = {
    "default_verify": ["make test"],
    "by_task_id": {"TASK-1": {"verify": ["one"], "done_criteria": ["by id"], "description": "by id"}},
    "by_title": {
        "The  First": {"verify": ["two"], "expected_files": ["src/a"], "done_criteria": ["by title"]}
    },
    "by_key": {"k": {"verify": [["three", "|"]], "title": "By key"}},
}


def test_overrides_are_applied_the_nearest_last() -> None:
    (one, two), _ = compiled("- [ ] the first {#k}\n- [ ] b\n", overrides=SAID)
    assert (one.title, one.intent, one.verify) == ("By key", "by id", (("three", "|"),))
    assert (one.write_scope, one.acceptance) == (("src/a",), ("by title",))
    assert overrides_from(SAID, "o").default_verify == (("make", "test"),)
    assert two.verify == MAKE


def test_overrides_for_what_is_not_there_are_found() -> None:
    items = task_ids([], change("- [ ] a\n"))
    assert overrides_from(SAID, "o").unused(items) == ["by_title: the first", "by_key: k"]
    assert Overrides().unused(items) == []


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ([], "/: must be an object"),
        ({"by_id": {}}, "/by_id: is not a known key"),
        ({"by_key": []}, "/by_key: must be an object"),
        ({"by_key": {"k": 1}}, "/by_key/k: must be an object"),
        ({"by_key": {"k": {"status": "done"}}}, "/by_key/k/status: is not a known key"),
        ({"default_verify": "make"}, "/default_verify: must be a list of at most 50 commands"),
        ({"default_verify": [1]}, "/default_verify/0: is neither a string nor a list of strings"),
        ({"default_verify": ["<fill: x>"]}, "/default_verify/0: '<fill: x>' is a placeholder"),
        (
            {"by_key": {"k": {"verify": ["a | b"]}}},
            "/by_key/k/verify/0: 'a | b' uses shell syntax ('|'), but commands run without a shell",
        ),
        (
            {"by_key": {"k": {"expected_files": ["../x"]}}},
            "/by_key/k/expected_files: '../x' is not a path within the repository",
        ),
        (
            {"by_key": {"k": {"done_criteria": "x"}}},
            "/by_key/k/done_criteria: must be a list of at most 50 texts",
        ),
        ({"by_key": {"k": {"title": ""}}}, "/by_key/k/title: must hold texts of 1 to 200 characters"),
        ({"by_key": {"k": {"title": "a\x1b"}}}, "/by_key/k/title: has the control character U+001B"),
        ({"by_key": {"k": {"description": "TBD"}}}, "/by_key/k/description: is still a placeholder: 'TBD'"),
        ({"by_task_id": {"one": {}}}, "/by_task_id/one: 'one' is not a task id: 'task_' and a number"),
    ],
)
def test_overrides_that_cannot_be_used_are_refused(document: Any, fault: str) -> None:
    with pytest.raises(PlannerError) as caught:
        overrides_from(document, "o.json")
    assert (caught.value.code, caught.value.details) == ("E_SCHEMA", (fault,))


# -- CONTEXT.md and MASTER.md ---------------------------------------------------------------------------
def test_context_says_where_the_truth_is() -> None:
    tasks, _ = compiled("- [ ] a\n  - verify: echo '`'\n- [ ] b\n")
    plan = {"name": "x", "tasks": [task.document() for task in tasks]}
    assert (
        context_text.render_context(plan, change("- [ ] a\n"))
        == """\
# x: context

<!-- made by 'git plan spec compile'; changes made here are lost -->

## Source of truth

- `openspec/project.md`: what holds for every change
- `openspec/changes/add-x/`, later in `openspec/archive/`: what is wanted and why
- `.plans/x/plan.json`: the tasks and where they stand

## Invariants

- stays

## Entrypoints

- none are named in `openspec/project.md`

## Verification commands

- `` echo '`' ``
- `make check`
"""
    )


def test_the_log_is_only_added_to() -> None:
    effects = [CompileEffect("added", f"task_{n:03d}", f"do {n}") for n in range(1, 23)]
    first = context_text.append_log("", "x", "then: this", effects)
    assert first.startswith("# x: planner log\n\n## then: this\n\nadded:\n\n- task_001 (do 1)\n")
    assert first.endswith("- task_020 (do 20)\n- and 2 more\n")
    assert context_text.append_log("kept", "x", "now: that", []) == (
        "kept\n\n## now: that\n\nNo task changed; the context or the goal did.\n"
    )
