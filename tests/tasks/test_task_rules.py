"""Rules of tasks: documents, transitions, readiness, overlaps and lint."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.rules.documents.placeholders import find_placeholder
from git_planner.rules.policy import globs
from git_planner.rules.policy.command_line import split_command
from git_planner.rules.tasks import readiness, transitions
from git_planner.rules.tasks.lint import lint_tasks
from git_planner.rules.tasks.readiness import ScopedWork
from git_planner.rules.tasks.task import (
    STATUSES,
    QuestionAnswer,
    SpecOrigin,
    Task,
    TaskEvidence,
    TaskQuestion,
    VerifyRun,
    derive_uid,
    task_from,
)
from git_planner.rules.tasks.transitions import TRANSITIONS

AT = "2026-11-28T12:00:00Z"
EVIDENCE = TaskEvidence("manual", AT, "A U Thor", 1, None, None, ok=True, note="looked at it")


def task(number: int = 1, **changes: Any) -> Task:
    """Return a task that is valid by its schema."""
    return Task(f"task_{number:03d}", f"uid{number:05d}", f"do {number}")._replace(**changes)


FULL = task(
    7,
    intent="because",
    status="needs_input",
    reason="which way?",
    step="s1",
    spec=SpecOrigin("add-x", "the-key"),
    actions=("do it",),
    read_scope=("docs/**",),
    write_scope=("src/*.py",),
    dependencies=("task_001",),
    acceptance=("it works",),
    verify=(("pytest", "-q"), ("make", "lint")),
    risks=("none",),
    references=("README",),
    owner="A U Thor",
    attempt=2,
    run="20261128T120000Z-abcdefgh",
    base="a" * 40,
    branch="iter/0007-x",
    handoff=".plans/x/handoffs/task_007.md",
    inputs=(TaskQuestion(AT, "agent", "which way?", ("a", "b"), "a", QuestionAnswer(AT, "me", "b")),),
    commits=("b" * 40,),
    evidence=(
        EVIDENCE,
        TaskEvidence(
            "verified",
            AT,
            "me",
            2,
            "b" * 40,
            "c" * 40,
            ok=False,
            runs=(VerifyRun(("x",), None, 1.5, "d" * 64),),
        ),
    ),
    notes=("a note",),
)


@pytest.mark.parametrize("original", [task(), FULL])
def test_a_task_survives_its_document(original: Task) -> None:
    document = original.document()
    assert documents.validate("task", document) == []
    assert task_from(document) == original
    assert task_from(document).document() == document


@pytest.mark.parametrize("old", STATUSES)
@pytest.mark.parametrize("new", STATUSES)
def test_only_transitions_of_the_table_are_allowed(old: Any, new: Any) -> None:
    before = task(status=old, owner="me", evidence=(EVIDENCE,))
    if old == new:
        assert transitions.move_task(before, new) == before
    elif new in TRANSITIONS[old]:
        after = transitions.move_task(before, new, reason="so")
        assert (after.status, after.reason) == (new, "so")
        assert after.attempt == before.attempt + (new == "todo")
    else:
        with pytest.raises(PlannerError) as caught:
            transitions.move_task(before, new)
        assert caught.value.code == "E_TRANSITION"


def test_every_status_can_return_to_todo() -> None:
    assert tuple(TRANSITIONS) == STATUSES
    for status, onward in TRANSITIONS.items():
        assert set(onward) <= set(STATUSES) - {status}
        assert "todo" in onward or status == "todo"


def test_done_needs_evidence_of_this_attempt_and_the_latest_counts() -> None:
    finished = task(status="agent_done")
    for evidence in ((), (EVIDENCE._replace(ok=False),), (EVIDENCE, EVIDENCE._replace(ok=False))):
        with pytest.raises(PlannerError) as caught:
            transitions.move_task(finished._replace(evidence=evidence), "done")
        assert caught.value.code == "E_EVIDENCE"
    done = transitions.move_task(transitions.add_evidence(finished, EVIDENCE), "done")
    assert done.status == "done"
    put_back = transitions.requeue_task(done, "it was reverted")
    assert (put_back.status, put_back.attempt, put_back.proven) == ("todo", 2, False)


def test_a_question_is_asked_answered_and_resumed() -> None:
    asked = transitions.ask_question(task(status="in_progress", owner="a"), TaskQuestion(AT, "a", "which?"))
    assert (asked.status, asked.reason, asked.open_question) == ("needs_input", "which?", asked.inputs[0])
    answered = transitions.answer_question(asked, QuestionAnswer(AT, "me", "this"))
    assert answered.open_question is None
    assert answered.inputs[0].answer == QuestionAnswer(AT, "me", "this")
    with pytest.raises(PlannerError, match="no open question"):
        transitions.answer_question(answered, QuestionAnswer(AT, "me", "that"))
    assert transitions.requeue_task(answered).inputs == answered.inputs


def test_a_status_by_name() -> None:
    assert [transitions.parse_status(name) for name in STATUSES] == list(STATUSES)
    for name in ("pending", "delegated", "Done", "", "done\n"):
        with pytest.raises(PlannerError) as caught:
            transitions.parse_status(name)
        assert caught.value.code == "E_USAGE"


def test_ready_tasks_are_ordered_and_respect_dependencies_claims_and_scopes() -> None:
    tasks = [
        task(1000),
        task(101),
        task(1, status="done"),
        task(2, dependencies=("task_001",)),
        task(3, dependencies=("task_002",)),
        task(4, status="in_progress", write_scope=("src/a/**",)),
        task(5, write_scope=("src/*/x.py",)),
        task(6, write_scope=("src/b/x.py",)),
        task(7),
    ]
    assert [task.number for task in readiness.ready_tasks(tasks, {"task_007"})] == [2, 6, 101, 1000]
    assert readiness.reasons_not_ready(tasks[4], tasks) == ["it depends on 'task_002', which is todo"]
    assert readiness.reasons_not_ready(tasks[6], tasks) == [
        "'task_004' is working on 'src/a/**', which 'src/*/x.py' overlaps"
    ]
    assert readiness.reasons_not_ready(tasks[8], tasks, {"task_007"}) == ["it is claimed"]
    assert readiness.reasons_not_ready(tasks[5], tasks) == ["it is in_progress"]


def test_parallel_tasks_do_not_overlap() -> None:
    tasks = [task(1, write_scope=("src",)), task(2, write_scope=("src/a.py",)), task(3), task(4)]
    assert [task.number for task in readiness.pick_parallel(tasks, 3)] == [1, 3, 4]


@pytest.mark.parametrize(
    ("one", "other", "is_overlap"),
    [
        ("src/**", "src/a/b.py", True),
        ("src", "src/a/b.py", True),
        ("src", "srcs/a", False),
        ("src/*.py", "src/a/b.py", False),
        ("src/*.py", "src/b.*", True),
        ("**/x.py", "docs/**", True),
        ("**/x.py", "docs/*.md", True),  # a folder may have such a name
        ("a/**/z", "a/z", True),
        ("a/?.c", "a/bb.c", False),
        ("a/[bc].c", "a/d.c", True),  # a set counts as any character
        ("a*b", "ab", True),
        ("a*b", "acd", False),
        ("docs/", "docs/x", True),
        ("**", "anything", True),
    ],
)
def test_overlapping_patterns(one: str, other: str, *, is_overlap: bool) -> None:
    assert (globs.is_overlapping(one, other), globs.is_overlapping(other, one)) == (is_overlap, is_overlap)


PARTS = st.sampled_from(["a", "b", "ab", "*", "a*", "?", "**"])


@given(
    st.lists(PARTS, min_size=1, max_size=4),
    st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4),
)
def test_overlap_never_misses_a_path_that_a_pattern_matches(pattern: list[str], path: list[str]) -> None:
    """Compare with a plain recursive matcher."""

    def name_matches(wild: str, text: str) -> bool:
        if not wild:
            return not text
        if wild[0] == "*":
            return name_matches(wild[1:], text) or (bool(text) and name_matches(wild, text[1:]))
        return bool(text) and wild[0] in ("?", text[0]) and name_matches(wild[1:], text[1:])

    def matches(wild: list[str], parts: list[str]) -> bool:
        if not wild:
            return True  # a folder pattern matches everything below it
        if wild[0] == "**":
            return matches(wild[1:], parts) or (bool(parts) and matches(wild, parts[1:]))
        return bool(parts) and name_matches(wild[0], parts[0]) and matches(wild[1:], parts[1:])

    if matches(pattern, path):
        assert globs.is_overlapping("/".join(pattern), "/".join(path))


def test_clashes_are_reported_once_and_not_between_dependent_tasks() -> None:
    tasks = [
        task(1, write_scope=("src/a.py",)),
        task(2, write_scope=("src/**",), dependencies=("task_001",)),
        task(3, write_scope=("*/a.py",)),
        task(4, write_scope=("docs/**",)),
        task(5, write_scope=("src/a.py",), status="done"),
    ]
    clashes = [(clash.one, clash.other) for clash in readiness.find_task_clashes(tasks, 10)]
    assert clashes == [
        ("task task_001", "task task_003"),
        ("task task_002", "task task_003"),
        ("task task_003", "task task_004"),
    ]
    works = [ScopedWork("task", str(task.number), task.write_scope) for task in tasks]
    assert len(readiness.find_clashes(works, 100)) == len(readiness.find_clashes(works[::-1], 100)) == 7
    assert len(readiness.find_clashes(works, 2)) == 2


def codes(*tasks: dict[str, Any]) -> list[tuple[str, str]]:
    return [(fault.code, fault.task) for fault in lint_tasks(tasks)]


def test_lint_finds_each_fault() -> None:
    fine = task(1, verify=(("true",),)).document()
    assert codes(fine) == []
    assert codes(fine, fine) == [("same-id", "task_001"), ("same-uid", "task_001")]
    assert codes({**fine, "verify": []}) == [("no-verify", "task_001")]
    assert codes({**fine, "verify": "pytest"}) == [("verify", "task_001")]
    assert codes({**fine, "verify": [["pytest", 1]]}) == [("verify", "task_001")]
    assert codes({**fine, "verify": [["<fill: 1-3 commands>"]]}) == [("placeholder", "task_001")]
    assert codes({**fine, "dependencies": ["task_001"]}) == [("self-dependency", "task_001")]
    assert codes({**fine, "dependencies": ["task_009"]}) == [("unknown-dependency", "task_001")]
    assert codes({**fine, "write_scope": ["../x"], "read_scope": ["/etc"]}) == [("scope", "task_001")] * 2
    assert codes({**fine, "status": "delegated"}) == [("status", "task_001")]
    assert codes({**fine, "title": " "}) == [("no-title", "task_001")]
    assert codes({**fine, "acceptance": ["TBD"]}) == [("placeholder", "task_001")]
    other = task(2, verify=(("true",),), dependencies=("task_001",)).document()
    assert codes({**fine, "dependencies": ["task_002"]}, other) == [("cycle", "task_001")]
    assert codes({**fine, "status": "cancelled"}, other) == [("dependency-never-done", "task_002")]


@given(
    st.dictionaries(
        st.sampled_from([*task().document()]),
        st.none() | st.integers() | st.text() | st.lists(st.text() | st.integers()),
    )
)
def test_lint_accepts_any_document(changes: dict[str, Any]) -> None:
    assert isinstance(lint_tasks([{**task().document(), **changes}, {}]), list)


@pytest.mark.parametrize("text", ["<fill: x>", "<your command>", "tbd", "???", "…", "run <path/…>"])
def test_placeholders(text: str) -> None:
    assert find_placeholder(text)


@pytest.mark.parametrize("text", ["pytest -q", "sort < in", "a <b> c", "x > y", "what is todo", ""])
def test_texts_without_placeholders(text: str) -> None:
    assert find_placeholder(text) is None


def test_commands_are_split_without_a_shell() -> None:
    assert split_command("pytest -k 'a b' tests", "--verify") == ("pytest", "-k", "a b", "tests")
    assert split_command("sh -c 'a && b'", "--verify") == ("sh", "-c", "a && b")


@pytest.mark.parametrize("text", ["", "  ", "a && b", "a | b", "a; b", "a > b", "'a", "X=1 make", "<fill>"])
def test_commands_that_need_a_shell_or_are_unfinished(text: str) -> None:
    with pytest.raises(PlannerError) as caught:
        split_command(text, "--verify")
    assert caught.value.code == "E_USAGE"


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_a_derived_identity_fits_the_schema(parts: list[str]) -> None:
    uid = derive_uid(*parts)
    assert documents.validate("task", task(uid=uid).document()) == []
    assert uid == derive_uid(*parts)
