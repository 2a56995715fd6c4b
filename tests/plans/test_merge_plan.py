"""Three-way merge of plans and other documents: nothing lost, whoever merges."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.rules.documents import canonical_json
from git_planner.rules.plans.merge_plan import MergeResult, merge_documents, merge_duplicates
from tests.plans.documents import evidence, plan, question, task


def both_ways(base: Any, one: Any, other: Any, *, complete: bool = False) -> MergeResult:
    """The merge, which is the same from either side."""
    merged = merge_documents(base, one, other, complete=complete)
    assert merge_documents(base, other, one, complete=complete) == merged
    return merged


def tasks(base: Any, one: Any, other: Any) -> dict[str, dict[str, Any]]:
    """The merged tasks by identity; nothing is left to a person."""
    merged = both_ways(base, one, other)
    assert merged.conflicts == ()
    return {item["uid"]: item for item in merged.document["tasks"]}


def test_different_tasks_and_different_fields_just_merge() -> None:
    base = plan(task(1), task(2))
    one = plan(task(1, status="done", evidence=[evidence(1)], commits=["c" * 40]), task(2, title="new"))
    other = plan(task(1, write_scope=["src/**"]), task(2, status="blocked", reason="no board"))
    assert both_ways(base, one, other) == MergeResult(
        plan(
            task(1, status="done", evidence=[evidence(1)], commits=["c" * 40], write_scope=["src/**"]),
            task(2, title="new", status="blocked", reason="no board"),
        )
    )


def test_two_tasks_of_one_number_are_both_kept_with_their_dependencies() -> None:
    base = plan(task(1))
    one = plan(task(1), task(2, "bbbbbbbb"), task(3, "cccccccc", dependencies=["task_002"]))
    other = plan(task(1), task(2, "aaaaaaaa"), task(3, "dddddddd", dependencies=["task_001", "task_002"]))
    merged = both_ways(base, one, other)
    assert merged == MergeResult(
        plan(
            task(1),
            task(2, "aaaaaaaa"),
            task(3, "cccccccc", dependencies=["task_004"]),
            task(
                4,
                "bbbbbbbb",
                title="task 2",
                notes=["merged: was also task_002, the number of another task"],
            ),
            task(
                5,
                "dddddddd",
                title="task 3",
                dependencies=["task_001", "task_002"],
                notes=["merged: was also task_003, the number of another task"],
            ),
        ),
        (
            "task_004: merged: was also task_002, the number of another task",
            "task_005: merged: was also task_003, the number of another task",
        ),
    )


def test_who_was_there_first_keeps_the_number() -> None:
    base = plan(task(1, "zzzzzzzz"))
    merged = tasks(base, plan(task(1, "zzzzzzzz", title="t")), plan(task(1, "zzzzzzzz"), task(1, "aaaaaaaa")))
    assert (merged["zzzzzzzz"]["id"], merged["aaaaaaaa"]["id"]) == ("task_001", "task_002")


def test_a_task_that_was_begun_keeps_the_number() -> None:
    merged = tasks(plan(), plan(task(1, "aaaaaaaa")), plan(task(1, "bbbbbbbb", status="in_progress")))
    assert (merged["aaaaaaaa"]["id"], merged["bbbbbbbb"]["id"]) == ("task_002", "task_001")


def test_a_number_stays_on_its_page() -> None:
    full = [task(number) for number in range(1, 200)]
    base, one, other = plan(*full), plan(*full, task(200, "aaaaaaaa")), plan(*full, task(200, "bbbbbbbb"))
    page = both_ways(base, one, other)
    assert [item["id"] for item in page.document["tasks"][198:]] == ["task_199", "task_200", "task_200"]
    assert page.conflicts == ("/tasks/task_200",)
    whole = both_ways(base, one, other, complete=True)
    assert [item["id"] for item in whole.document["tasks"][198:]] == ["task_199", "task_200", "task_201"]
    gap = both_ways(
        plan(*full[1:]), plan(*full[1:], task(200, "aaaaaaaa")), plan(*full[1:], task(200, "bbbbbbbb"))
    )
    assert [item["id"] for item in gap.document["tasks"]][::199] == ["task_001", "task_200"]


def test_the_further_status_stands_and_the_other_is_noted() -> None:
    one, other = (
        plan(task(1, status="in_progress", owner="ann")),
        plan(task(1, status="agent_done", owner="bob")),
    )
    merged = tasks(plan(task(1)), one, other)["uid00000001"]
    assert (merged["status"], merged["owner"]) == ("agent_done", "bob")
    assert merged["notes"] == [
        "merged: status was also 'in_progress', owner 'ann'",
        "merged: owner was also 'ann'",
    ]


def test_a_later_attempt_takes_all_that_belongs_to_it() -> None:
    base = plan(task(1, status="in_progress", owner="ann", run="r1"))
    one = plan(task(1, status="agent_done", owner="ann", run="r1", commits=["c" * 40]))
    other = plan(task(1, attempt=2))
    merged = tasks(base, one, other)["uid00000001"]
    assert merged == task(
        1, attempt=2, commits=["c" * 40], notes=["merged: attempt 1 had reached 'agent_done', owner 'ann'"]
    )


def test_done_needs_the_evidence_of_both_sides() -> None:
    base = plan(task(1, status="agent_done"))
    one = plan(task(1, status="done", evidence=[evidence(1)]))
    merged = tasks(base, one, plan(task(1, status="agent_done", evidence=[evidence(2, ok=False)])))
    assert merged["uid00000001"]["status"] == "agent_done"
    assert merged["uid00000001"]["evidence"] == [evidence(1), evidence(2, ok=False)]
    merged = tasks(base, one, plan(task(1, status="review_ready", evidence=[evidence(0, ok=False)])))
    assert merged["uid00000001"]["status"] == "done"


def test_a_text_that_gives_way_is_a_note() -> None:
    merged = both_ways(plan(task(1)), plan(task(1, title="left")), plan(task(1, title="right", notes=["n"])))
    (kept,) = merged.document["tasks"]
    gone = {"left": "right", "right": "left"}[kept["title"]]
    assert kept["notes"] == ["n", f"merged: title was also '{gone}'"]
    assert merged.notes == (f"task_001: merged: title was also '{gone}'",)


def test_questions_are_answered_once() -> None:
    base = plan(task(1, inputs=[question(1), question(2)]))
    one = plan(task(1, inputs=[question(1, "this"), question(2)]))
    other = plan(task(1, inputs=[question(1, "that"), question(2, "yes"), question(3)]))
    merged = tasks(base, one, other)["uid00000001"]
    texts = [item["answer"] and item["answer"]["text"] for item in merged["inputs"]]
    assert texts in (["this", "yes", None], ["that", "yes", None])
    other_text = {"this": "that", "that": "this"}[texts[0]]
    assert merged["notes"] == [f"merged: boss also answered 'which 1?': {other_text}"]


def test_lists_lose_what_one_side_took_out_and_get_what_both_added() -> None:
    base = plan(task(1, write_scope=["a", "b"], verify=[["make"]]))
    one = plan(task(1, write_scope=["b", "c"], verify=[["make"], ["x"]]))
    other = plan(task(1, write_scope=["a", "b", "d"], verify=[["make"], ["x"]]))
    merged = tasks(base, one, other)["uid00000001"]
    assert (merged["write_scope"][0], sorted(merged["write_scope"])) == ("b", ["b", "c", "d"])
    assert merged["verify"] == [["make"], ["x"]]


def test_a_goal_that_both_sides_changed_is_for_a_person() -> None:
    assert both_ways(plan(), plan(goal="x"), plan(goal="y")).conflicts == ("/goal",)


def test_two_clones_that_made_the_plan_at_once_have_one() -> None:
    one = plan(task(1, "aaaaaaaa"), created_at="2026-11-21T10:00:00Z", base="1" * 40)
    other = plan(task(1, "bbbbbbbb"), created_at="2026-11-21T10:05:00Z", base="2" * 40)
    merged = both_ways(None, one, other)
    assert merged.conflicts == ()
    assert merged.document["base"] == "1" * 40
    assert [item["id"] for item in merged.document["tasks"]] == ["task_001", "task_002"]


def test_other_documents_merge_key_by_key() -> None:
    base = {"schema": "git-planner/thing@1", "a": 1, "b": {"c": 1, "d": 1}, "l": [1]}
    one = {**base, "a": 2, "b": {"c": 1, "d": 2}}
    other = {**base, "b": {"c": 2}, "l": [1, 2]}
    assert both_ways(base, one, other) == MergeResult(
        {"schema": "git-planner/thing@1", "a": 2, "b": {"c": 2, "d": 2}, "l": [1, 2]}, (), ("/b/d",)
    )
    assert both_ways(None, {"a": 1}, {"a": True, "b": 2}).conflicts == ("/a",)


def test_what_was_answered_or_measured_at_once_stays_whole() -> None:
    old, new = (
        {"schema": "git-planner/noise@1", "created_at": f"2026-11-2{day}", "n": day} for day in (1, 2)
    )
    assert both_ways(None, old, new) == MergeResult(new)
    answers = [{"schema": "git-planner/planning-plan@1", "steps": [item]} for item in "ab"]
    plans = [
        plan(task(1, uid * 8), planning_plan=canonical_json.digest(item))
        for uid, item in zip("ab", answers, strict=True)
    ]
    kept = both_ways(None, *answers).document
    merged = both_ways(None, *plans)
    assert (merged.conflicts, merged.document["planning_plan"]) == ((), canonical_json.digest(kept))


# -- properties ---------------------------------------------------------------------------------------------

TEXTS = st.text("abc", min_size=1, max_size=3)
EDITS = st.sampled_from(
    ("title", "status", "note", "evidence", "commit", "scope", "depend", "attempt", "owner", "add", "answer")
)


@st.composite
def edited(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """The plan after a few edits as clones make them."""
    copied = copy.deepcopy(document)
    for _ in range(draw(st.integers(0, 4))):
        what = draw(EDITS)
        numbers = [int(other["id"][5:]) for other in copied["tasks"]]
        if what == "add" or not numbers:
            uids = st.integers(0, 20).map("fresh{:08d}".format).filter(lambda uid: uid not in str(copied))
            copied["tasks"].append(task(max(numbers, default=0) + 1, draw(uids)))
            continue
        _edit(draw, what, draw(st.sampled_from(copied["tasks"])), copied["tasks"])
    return copied


def _edit(draw: st.DrawFn, what: str, one: dict[str, Any], all_: list[dict[str, Any]]) -> None:
    match what:
        case "title" | "owner":
            one[what] = draw(TEXTS)
        case "status":
            one["status"] = draw(st.sampled_from(("in_progress", "blocked", "done", "cancelled")))
        case "note":
            one["notes"].append(draw(TEXTS))
        case "evidence":
            one["evidence"].append(evidence(draw(st.integers(0, 9)), ok=draw(st.booleans())))
        case "commit":
            one["commits"].append(draw(st.sampled_from("0123456789abcdef")) * 40)
        case "scope":
            one["write_scope"] = draw(st.lists(TEXTS, unique=True, max_size=3))
        case "depend":
            other = draw(st.sampled_from(all_))["id"]
            one["dependencies"] = sorted({*one["dependencies"], other} - {one["id"]})
        case "attempt":
            one.update(attempt=one["attempt"] + 1, status="todo", owner=None, run=None)
        case "answer":
            one["inputs"].append(question(draw(st.integers(0, 9)), draw(TEXTS)))


Forks = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


@st.composite
def forks(draw: st.DrawFn) -> Forks:
    """A plan and two versions of it."""
    base = draw(edited(plan(task(1), task(2))))
    return base, draw(edited(base)), draw(edited(base))


@given(forks())
def test_the_same_whoever_merges_and_nothing_new_from_nothing(fork: Forks) -> None:
    base, one, other = fork
    both_ways(base, one, other)
    both_ways(None, one, other)
    assert merge_documents(base, one, one) == MergeResult(one)
    assert merge_documents(base, base, one) == MergeResult(one)
    # What was merged is not merged again.
    done = merge_documents(base, one, other).document
    assert merge_documents(one, done, one) == merge_documents(other, other, done) == MergeResult(done)


@given(forks(), st.booleans())
def test_nothing_is_lost(fork: Forks, complete: bool) -> None:
    base, one, other = fork
    result = both_ways(base, one, other, complete=complete)
    assert result.conflicts == ()
    merged = {entry["uid"]: entry for entry in result.document["tasks"]}
    before = {entry["uid"]: entry["title"] for entry in base["tasks"]}
    assert len({entry["id"] for entry in merged.values()}) == len(result.document["tasks"])
    canonical_json.dumps(result.document)
    for side in (one, other):
        for entry in side["tasks"]:
            kept = merged[entry["uid"]]
            for field in ("notes", "evidence"):
                assert [item for item in entry[field] if item not in kept[field]] == []
            texts = " ".join([*kept["notes"], kept["title"], before.get(entry["uid"], "")])
            # Of two answers to one question the other one is a note.
            replies = [item["answer"]["text"] for item in entry["inputs"] if item not in kept["inputs"]]
            assert [
                text for text in replies if "also answered 'which" not in texts or text not in texts
            ] == []
            assert entry["title"] in texts


@given(forks())
def test_what_is_there_twice_is_told_apart_without_loss(fork: Forks) -> None:
    _, one, other = fork
    merged = merge_duplicates({**one, "tasks": [*one["tasks"], *other["tasks"]]}).document
    assert (
        merge_duplicates({**one, "tasks": [*other["tasks"], *one["tasks"]]}).document["tasks"]
        == merged["tasks"]
    )
    assert merge_duplicates(merged) == MergeResult(merged)
    kept = {entry["uid"]: entry for entry in merged["tasks"]}
    assert len(kept) == len({entry["id"] for entry in merged["tasks"]}) == len(merged["tasks"])
    for entry in (*one["tasks"], *other["tasks"]):
        for field in ("notes", "evidence", "commits"):
            assert [item for item in entry[field] if item not in kept[entry["uid"]][field]] == []
        assert entry["title"] in " ".join([*kept[entry["uid"]]["notes"], kept[entry["uid"]]["title"]])


@given(forks())
def test_dependencies_mean_the_tasks_they_meant(fork: Forks) -> None:
    base, one, other = fork
    merged = {item["uid"]: item for item in both_ways(base, one, other).document["tasks"]}
    for side in (one, other):
        uids = {item["id"]: item["uid"] for item in side["tasks"]}
        for item in side["tasks"]:
            ids = merged[item["uid"]]["dependencies"]
            assert {merged[uids[number]]["id"] for number in item["dependencies"]} <= set(ids)


@pytest.mark.parametrize("missing", [None, [], "x", 7])
def test_a_base_that_is_no_document_is_none(missing: Any) -> None:
    one, other = plan(task(1, "aaaaaaaa")), plan(task(1, "bbbbbbbb"))
    assert both_ways(missing, one, other) == both_ways(None, one, other)
