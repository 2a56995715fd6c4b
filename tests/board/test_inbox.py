"""Inbox: one list of what waits for a person; each command answers its item."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from git_planner.rules.board.inbox import InboxItem, sort_items, task_item
from git_planner.rules.tasks.task import QuestionAnswer, Task, TaskEvidence, TaskQuestion
from tests.delegation.scripted_agent import delegate, set_agent_script, set_up_lab
from tests.support.lab import Lab

FAILED = TaskEvidence("verified", "2023", "c", 1, None, None, ok=False)
ASKING = (
    "git plan task result $GIT_PLANNER_TASK --run $GIT_PLANNER_RUN --status needs_input "
    "--summary 'which format' --question 'JSON or YAML?'"
)


def inbox(lab: Lab, *options: str) -> list[dict[str, Any]]:
    ran = lab.run("git-plan", "inbox", "--json", *options)
    assert ran.status == 0, ran.err
    items: list[dict[str, Any]] = json.loads(ran.out)["items"]
    return items


def answer(lab: Lab, item: dict[str, Any]) -> None:
    """Run the command of an item, with an answer in place of TEXT."""
    program, command, *rest = shlex.split(item["command"].replace("TEXT", "JSON"))
    ran = lab.run(f"{program}-{command}", *rest)
    assert ran.status == 0, ran.err


def add(lab: Lab, title: str, *options: str) -> None:
    ran = lab.run("git-plan", "task", "add", title, *options)
    assert ran.status == 0, ran.err


def test_an_empty_repository_has_nothing_that_waits(lab: Lab) -> None:
    assert inbox(lab) == []
    assert lab.run("git-plan", "inbox").out == "nothing waits for a person\n"


def test_a_question_is_answered_and_resumed_by_its_commands(lab: Lab) -> None:
    set_up_lab(lab)
    add(lab, "Parse it")
    asked = ("task", "input", "task_001", "--summary", "JSON or YAML?", "--detail", "Both are used.")
    assert lab.run("git-plan", "task", "claim", "task_001").status == 0
    assert lab.run("git-plan", *asked).status == 0
    (item,) = inbox(lab)
    assert (item["kind"], item["subject"]) == ("question", "task_001")
    assert "JSON or YAML?" in item["text"]
    assert item["command"] in lab.run("git-plan", "inbox").out
    answer(lab, item)
    (item,) = inbox(lab)
    assert item["command"].startswith("git plan task resume task_001")
    answer(lab, item)
    assert inbox(lab) == []


def test_blocked_tasks_and_reviews_of_all_plans_are_listed(lab: Lab) -> None:
    set_up_lab(lab)
    for plan, status in (("alpha", "blocked"), ("beta", "review_ready"), ("beta", "todo")):
        add(lab, f"{status} task", "--plan", plan)
        number = "task_002" if status == "todo" else "task_001"
        if status != "todo":
            lab.run("git-plan", "task", "update", number, "--status", status, "--plan", plan)
    assert [(item["plan"], item["kind"]) for item in inbox(lab)] == [("alpha", "blocked"), ("beta", "review")]
    assert [item["plan"] for item in inbox(lab, "--plan", "beta")] == ["beta"]
    missing = lab.run("git-plan", "inbox", "--plan", "gamma", "--json")
    assert json.loads(missing.out)["code"] == "E_NO_PLAN"


def test_a_plan_that_cannot_be_read_hides_no_other(lab: Lab) -> None:
    set_up_lab(lab)
    add(lab, "Fine", "--plan", "alpha")
    lab.run("git-plan", "task", "update", "task_001", "--status", "blocked", "--plan", "alpha")
    blob = lab.git("hash-object", "-w", "--stdin", stdin="{")
    inner = lab.git("mktree", stdin=f"100644 blob {blob}\tplan.json\n")
    folder = lab.git("mktree", stdin=f"040000 tree {inner}\tbroken\n")
    root = lab.git("mktree", stdin=f"040000 tree {folder}\t.plans\n")
    lab.git("update-ref", "refs/heads/plan/broken", lab.git("commit-tree", root, "-m", "broken"))
    assert {item["kind"] for item in inbox(lab)} == {"plan", "blocked"}


def test_packets_proposals_and_lost_plans_are_listed(lab: Lab) -> None:
    set_up_lab(lab)
    head = lab.git("rev-parse", "HEAD")
    lab.git("update-ref", "refs/heads/plan/0003-next", head)
    # A merged proposal waits for nobody.
    lab.git("update-ref", "refs/heads/plan/guard-old", head)
    other = lab.git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "change what the guard protects")
    lab.git("update-ref", "refs/heads/plan/guard-new", other)
    add(lab, "Lost", "--plan", "gone")
    lab.git("update-ref", "-d", "refs/heads/plan/gone")
    items = {item["kind"]: item for item in inbox(lab)}
    assert items.keys() == {"packet", "proposal", "lost"}
    assert items["packet"]["command"] == "git plan manual apply --from plan/0003-next"
    assert items["proposal"]["subject"] == "plan/guard-new"


def test_a_delegated_question_waits(lab: Lab) -> None:
    set_up_lab(lab)
    set_agent_script(lab, ASKING)
    add(lab, "Parse it")
    delegate(lab)
    (item,) = inbox(lab)
    assert (item["kind"], "JSON or YAML?" in item["text"]) == ("question", True)


def question(at: str, reply: str | None = None) -> TaskQuestion:
    return TaskQuestion(at, "a", "which?", answer=QuestionAnswer(reply, "b", "this") if reply else None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": "todo"}, None),
        ({"status": "done"}, None),
        ({"status": "in_progress"}, None),
        ({"status": "blocked", "reason": "no compiler"}, ("blocked", "2026", "no compiler")),
        ({"status": "needs_input", "inputs": (question("2025"),)}, ("question", "2025", "which?")),
        (
            {"status": "needs_input", "inputs": (question("2024", "2025"),)},
            ("question", "2025", "it is answered and not resumed yet"),
        ),
        ({"status": "agent_done"}, ("review", "2026", "'Title' waits for a review")),
        (
            {"status": "agent_done", "evidence": (FAILED,)},
            ("review", "2023", "'Title' failed its verify commands"),
        ),
    ],
)
def test_a_task_waits_by_its_status(changes: dict[str, Any], expected: tuple[str, str, str] | None) -> None:
    task = Task(id="task_001", uid="0" * 16, title="Title")._replace(**changes)
    item = task_item("alpha", task, "2026")
    assert (item and (item.kind, item.since, item.text)) == expected


def test_the_oldest_comes_first() -> None:
    items = [InboxItem("run", since, "p", "s", "t", "c") for since in ("2026", "", "2025")]
    assert [item.since for item in sort_items(items)] == ["", "2025", "2026"]
