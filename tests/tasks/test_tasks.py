"""`git plan task` and `git plan lint`: the life of tasks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from git_planner.rules.documents import canonical_json
from tests.support.lab import Lab, Ran
from tests.support.workshop import workshop

NOW = "2026-11-28T12:00:00Z"


def plan(lab: Lab, *argv: str) -> Ran:
    return lab.run("git-plan", *argv)


def task(lab: Lab, *argv: str) -> dict[str, Any]:
    """Return the JSON output of 'git plan task …'."""
    ran = plan(lab, "task", *argv, "--json")
    assert ran.status == 0, ran.out + ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


def error(lab: Lab, *argv: str) -> str:
    ran = plan(lab, *argv, "--json")
    assert ran.status != 0, ran.out
    return str(json.loads(ran.out)["code"])


@pytest.mark.parametrize("title", ["", "  ", "two\nlines", "a\rb", "a\x1b[31m", "a\u2028b", "caf\udce9"])
def test_a_title_is_one_line_of_text(lab: Lab, title: str) -> None:
    workshop(lab)
    task(lab, "add", "one")
    before = lab.refs()
    for argv in (("add", title), ("update", "task_001", "--title", title)):
        ran = plan(lab, "task", *argv)
        assert (ran.status, "(E_USAGE)\nhint: " in ran.err) == (2, True), ran.err
    assert lab.refs() == before
    assert plan(lab, "task", "add", "one", "--note", "caf\udce9").status == 2


def test_direction_controls_in_titles_are_escaped(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "see \u202egnp.exe\u2069, \u05d0\u05d1")
    row = "task_001  todo          see \\u202egnp.exe\\u2069, \u05d0\u05d1\n"
    assert plan(lab, "task", "list").out == row


def test_dependency_cycles_are_refused(lab: Lab) -> None:
    workshop(lab)
    for number in range(4):
        task(lab, "add", "one more", *(("--after", f"task_{number}") if number else ()))
    before = lab.refs()
    for name, after in (("task_001", "task_001"), ("task_001", "task_004"), ("TASK-2", "task_3")):
        ran = plan(lab, "task", "update", name, "--after", after)
        assert (ran.status, " would depend on itself: " in ran.err) == (2, True), ran.err
    assert "task_002 -> task_003 -> task_002" in ran.err
    assert lab.refs() == before
    task(lab, "update", "task_003", "--clear", "dependencies")
    assert task(lab, "update", "task_002", "--after", "task_003")["task"]["dependencies"] == [
        "task_001",
        "task_003",
    ]


def test_the_life_of_a_task(lab: Lab) -> None:
    workshop(lab)
    with lab.undisturbed():
        first = plan(lab, "task", "add", "Make it shorter", "--write-scope", "src/**", "--verify", "true")
        assert (first.status, first.out) == (0, "task_001  todo          Make it shorter\n"), first.err
        task(lab, "add", "Say so", "--after", "TASK-1", "--write-scope", "docs/**")
        assert [ready["id"] for ready in task(lab, "ready")["tasks"]] == ["task_001"]
        assert error(lab, "task", "claim", "task_002") == "E_TRANSITION"
        claimed = task(lab, "claim", "task_1", "--owner", "me")
        assert (claimed["task"]["status"], claimed["task"]["owner"]) == ("in_progress", "me")
        assert error(lab, "task", "claim", "task_001", "--owner", "you") == "E_BUSY"
        assert error(lab, "task", "release", "task_001", "--owner", "you") == "E_BUSY"
        assert task(lab, "ready")["tasks"] == []
        asked = task(
            lab, "input", "task_001", "--summary", "How short?", "--detail", "9 or 8", "--by", "agent"
        )
        assert asked["task"]["status"] == "needs_input"
        task(lab, "answer", "task_001", "8", "--by", "planner")
        handoff = plan(lab, "task", "show", "task_001", "--handoff").out
        assert (
            handoff.index("How short?")
            < handoff.index("- 9 or 8")
            < handoff.index("8", handoff.index("Answer"))
        )
        resumed = task(lab, "resume", "task_001", "--note", "8 it is")
        assert (resumed["task"]["status"], resumed["task"]["attempt"]) == ("todo", 2)
        task(lab, "update", "task_001", "--status", "blocked", "--reason", "no compiler")
        assert task(lab, "show", "task_001")["task"]["reason"] == "no compiler"
        assert error(lab, "task", "update", "task_001", "--status", "done") == "E_EVIDENCE"
        assert error(lab, "task", "update", "task_001", "--status", "pending") == "E_USAGE"
        task(lab, "cancel", "task_002", "--reason", "not needed")
        listed = plan(lab, "task", "list").out.splitlines()
    assert listed == [
        "task_001  blocked       Make it shorter",
        "task_002  cancelled     Say so (after task_001)",
    ]
    assert plan(lab, "validate", "plan/default:.plans/default/plan.json").status == 0
    lab.fsck()


def test_lists_are_appended_to_and_cleared(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "x", "--acceptance", "a", "--acceptance", "b")
    changed = task(lab, "update", "task_1", "--title", "y")
    assert (changed["task"]["title"], changed["task"]["acceptance"]) == ("y", ["a", "b"])
    more = task(lab, "update", "task_001", "--acceptance", "c", "--acceptance", "a")
    assert more["task"]["acceptance"] == ["a", "b", "c"]
    fresh = task(lab, "update", "task_001", "--clear", "acceptance", "--acceptance", "d")
    assert fresh["task"]["acceptance"] == ["d"]
    before = lab.git("rev-parse", "plan/default")
    task(lab, "update", "task_001", "--acceptance", "d")
    assert lab.git("rev-parse", "plan/default") == before
    assert error(lab, "task", "update", "task_001", "--clear", "status") == "E_USAGE"


@pytest.mark.parametrize(
    "argv",
    [
        ("add", ""),
        ("add", "x\x1b[2J"),
        ("add", "x" * 201),
        ("add", "x", "--write-scope", "../x"),
        ("add", "x", "--write-scope", "/etc"),
        ("add", "x", "--read-scope", "a/.git/config"),
        ("add", "x", "--verify", "a && b"),
        ("add", "x", "--verify", "<fill>"),
        ("add", "x", "--after", "task_009"),
        ("add", "x", "--after", "../../evil"),
        ("show", "../../evil"),
        ("show", "task_009"),
        ("claim", "task_0"),
        ("answer", "task_001", "nobody asked"),
        ("resume", "task_001"),
        ("list", "--plan", "../../evil"),
        ("list", "--plan", "nowhere"),
    ],
)
def test_refused_commands_change_nothing(lab: Lab, argv: tuple[str, ...]) -> None:
    workshop(lab)
    task(lab, "add", "the first")
    before = lab.refs()
    ran = plan(lab, "task", *argv, "--json")
    assert ran.status in (1, 2, 3)
    assert json.loads(ran.out)["hint"]
    assert lab.refs() == before


def test_lint_reports_overlaps_and_drift(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "one", "--write-scope", "src/**", "--verify", "true")
    task(lab, "add", "two", "--write-scope", "src/size.txt", "--verify", "true")
    task(lab, "add", "far", "--plan", "other", "--write-scope", "src/*.txt", "--verify", "true")
    lab.commit("the base moves", {"src/size.txt": "99\n"})
    ran = plan(lab, "lint")
    assert (ran.status, ran.out.splitlines()) == (
        0,
        [
            "overlap: task task_001 and task task_002: 'src/**' and 'src/size.txt'",
            "overlap: task task_001 and task other task_001: 'src/**' and 'src/*.txt'",
            "overlap: task task_002 and task other task_001: 'src/size.txt' and 'src/*.txt'",
            f"drift: task_001: changed since {lab.git('rev-parse', 'main~1')[:12]}: src/size.txt",
            f"drift: task_002: changed since {lab.git('rev-parse', 'main~1')[:12]}: src/size.txt",
        ],
    )


def test_lint_reads_a_plan_broken_by_hand(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "one", "--verify", "true")
    page = json.loads(lab.show("plan/default:.plans/default/plan.json"))
    page["tasks"][0] |= {"status": "delegated", "verify": ["pytest"], "dependencies": ["task_002"]}
    lab.rival("refs/heads/plan/default", ".plans/default/plan.json", json.dumps(page))
    result = json.loads(plan(lab, "lint", "--json").out)
    assert not result["ok"]
    assert {fault["code"] for fault in result["faults"]} == {
        "schema",
        "status",
        "verify",
        "unknown-dependency",
    }
    assert error(lab, "task", "list") == "E_SCHEMA"
    page["tasks"] = [{"id": "task_201"}, {"id": 7}, None, "x"]
    lab.rival("refs/heads/plan/default", ".plans/default/plan.json", json.dumps(page))
    assert "page" in {fault["code"] for fault in json.loads(plan(lab, "lint", "--json").out)["faults"]}
    lab.rival("refs/heads/plan/default", ".plans/default/plan.json", "{")
    assert [fault["code"] for fault in json.loads(plan(lab, "lint", "--json").out)["faults"]] == ["json"]
    assert error(lab, "task", "add", "more") == "E_JSON"


def test_five_hundred_tasks_over_several_pages(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "the first")
    page = json.loads(lab.show("plan/default:.plans/default/plan.json"))
    first = page["tasks"][0]
    edits = {}
    for name, numbers in (
        ("plan.json", range(1, 201)),
        ("plan-0002.json", range(201, 401)),
        ("plan-0003.json", range(401, 501)),
    ):
        tasks = [{**first, "id": f"task_{n:03d}", "uid": f"uid{n:05d}"} for n in numbers]
        edits[f".plans/default/{name}"] = canonical_json.dumps({**page, "tasks": tasks})
    from git_planner.gitio.store import Message

    lab.store.edit("refs/heads/plan/default", lambda _: edits, Message("many"))
    assert task(lab, "add", "another")["task"]["id"] == "task_501"
    task(lab, "update", "task_450", "--title", "changed")
    changed = lab.git("diff", "--name-only", "plan/default~1", "plan/default")
    assert changed == ".plans/default/plan-0003.json"
    assert len(task(lab, "list")["tasks"]) == 501


def test_a_part_of_the_list(lab: Lab) -> None:
    workshop(lab)
    for title in ("one", "two", "three"):
        assert lab.run("git-plan", "task", "add", title).status == 0
    ran = lab.run("git-plan", "task", "list", "--start", "task_2", "--limit", "1")
    assert (ran.out, ran.err) == (
        "task_002  todo          two\n",
        "there are more; list them with '--start task_003'\n",
    )
    brief = json.loads(lab.run("git-plan", "task", "list", "--brief", "--json", "--limit", "2").out)
    assert [list(task) for task in brief["tasks"]] == [
        ["dependencies", "id", "owner", "status", "title", "write_scope"]
    ] * 2
    assert (brief["schema"], brief["next"]) == ("git-planner/task-rows@1", "task_003")
    full = json.loads(
        lab.run("git-plan", "task", "ready", "--json", "--start", "task_003", "--limit", "5").out
    )
    assert ([task["title"] for task in full["tasks"]], full["next"]) == (["three"], None)
    assert "next" not in json.loads(lab.run("git-plan", "task", "list", "--json").out)
    assert lab.run("git-plan", "task", "list", "--start", "x").status == 2
