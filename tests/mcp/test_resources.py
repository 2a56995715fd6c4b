"""Resources: their addresses, their bounds, and that secrets in them are masked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from git_planner.errors import PlannerError
from git_planner.mcp import resources
from tests.mcp.called import ask, result
from tests.support.lab import Lab
from tests.support.workshop import workshop

# Assembled, so that no scanner takes it for a key of somebody.
SECRET = "AKIA" + "QWERTYUIOPASDFGH"


def read(lab: Lab, kind: str, *parts: str) -> dict[str, Any]:
    return ask(lab, {"resource": resources.address_of(kind, str(lab.path), *parts)})


def test_a_plan_a_handoff_and_a_record(lab: Lab) -> None:
    workshop(lab)
    result(lab, "task_create", title="Shrink it")
    result(lab, "task_update", task="task_001", action="edit", status="in_progress")
    asked = {"summary": "Which unit?", "details": [f"the key is {SECRET}"]}
    result(lab, "task_update", task="task_001", action="request_input", **asked)
    handle = result(lab, "record", action="start")["handle"]
    record = result(lab, "record", action="result", handle=handle)["result"]["record"]["id"]

    plan = read(lab, "plan", "default")
    assert plan["media_type"] == "application/json"
    document = json.loads(plan["text"])
    assert document["status"]["plan"] == "default"
    assert [task["title"] for task in document["tasks"]["tasks"]] == ["Shrink it"]
    handoff = read(lab, "handoff", "default", "task_001")
    assert handoff["media_type"] == "text/markdown"
    assert "Which unit?" in handoff["text"]
    assert SECRET not in handoff["text"]
    assert json.loads(read(lab, "record", "default", record)["text"])["id"] == record
    review = read(lab, "review", "plan/default")
    assert review["media_type"] == "text/markdown"
    assert review["text"].startswith("# Plan default\n")
    assert ask(lab, {"resources": str(lab.path)})["plans"] == [
        ["default", f"git-planner://plan/default?repo_path={lab.path}"]
    ]


def test_resources_that_are_not_there(lab: Lab) -> None:
    for kind, parts, code in (
        ("plan", ["default"], "E_NO_PLAN"),
        ("handoff", ["default", "task_001"], "E_NO_PLAN"),
        ("record", ["default", "x"], "E_NO_RECORD"),
        ("review", ["sync"], "E_NO_PLAN"),
        ("plan", ["../main"], "E_NAME"),
        ("plan", ["--help"], "E_NAME"),
    ):
        assert read(lab, kind, *parts)["error"]["code"] == code
    assert ask(lab, {"resources": str(lab.path)}) == {"plans": []}
    assert ask(lab, {"resources": str(lab.root)})["error"]["code"] == "E_NOT_A_REPOSITORY"
    nowhere = resources.address_of("plan", "/nowhere", "default")
    assert ask(lab, {"resource": nowhere})["error"]["code"] == "E_NOT_A_REPOSITORY"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "git-planner://plan/default",
        "git-planner://plan/?repo_path=/x",
        "git-planner://plan/a/b?repo_path=/x",
        "git-planner://plan/a?repo_path=/x&repo_path=/y",
        "git-planner://plan/a?repo_path=/x&more=1",
        "git-planner://plan/a?repo_path=/x#part",
        "git-planner://plan/a%00?repo_path=/x",
        "git-planner://plan/a?repo_path=/x%0a",
        "git-planner://handoff/a?repo_path=/x",
        "git-planner://tasks/a?repo_path=/x",
        "http://plan/a?repo_path=/x",
        "git-planner://[plan/a?repo_path=/x",
        "git-planner://plan/a\x1b?repo_path=/x",
        "git-planner://plan/" + "a" * 9000 + "?repo_path=/x",
    ],
)
def test_addresses_that_are_none(uri: str) -> None:
    with pytest.raises(PlannerError, match="is no address of a resource") as caught:
        resources.parse_address(uri)
    assert caught.value.code == "E_USAGE"


def test_a_long_text_is_cut() -> None:
    kind = resources.KINDS["handoff"]
    text = resources.render_resource(kind, {"handoff": {"text": "x" * 200_000}})
    assert text == "x" * resources.MOST_CHARACTERS + "\n[cut: 68,928 more characters]\n"
    parts = ["a plan/with ?#%", "x"]
    assert resources.parse_address(resources.address_of("handoff", "/a b&c", *parts))[1:] == ("/a b&c", parts)
