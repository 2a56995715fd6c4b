"""Calls of the tools: where they act, what they refuse, and that each does what its command does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import click
import pytest

from git_planner import cli
from git_planner.cli import DEFAULTS
from git_planner.mcp.command_lines import ACTIONS, Command
from git_planner.mcp.tools import TOOLS, input_schema
from tests.mcp.called import ask, call, refusal, result
from tests.support.lab import Lab
from tests.support.workshop import workshop

MakeLab = Callable[..., Lab]


def with_task(lab: Lab) -> Lab:
    workshop(lab)
    assert lab.run("git-plan", "task", "add", "Shrink it").status == 0
    return lab


def test_a_question_goes_from_a_worker_to_the_operator_and_back(lab: Lab) -> None:
    workshop(lab)
    created = result(
        lab, "task_create", title="-v is a title", write_scope=["src/**"], acceptance=["smaller"]
    )
    assert created["task"]["title"] == "-v is a title"
    change = {"task": "TASK-001"}
    claimed = result(lab, "task_update", **change, action="claim", owner="worker")
    assert claimed["claim"]["owner"] == "worker"
    asked = {"summary": "Which unit?", "details": ["-x", "Lines."], "recommended_next_step": "count lines"}
    waiting = result(lab, "task_update", **change, action="request_input", **asked)["task"]
    assert (waiting["status"], waiting["inputs"][0]["details"]) == ("needs_input", ["-x", "Lines."])
    (item,) = result(lab, "inbox")["items"]
    assert (item["kind"], item["subject"]) == ("question", "task_001")
    assert result(lab, "tasks_list", status=["needs_input"])["tasks"][0]["id"] == "task_001"
    assert "Which unit?" in result(lab, "task_show", **change, handoff=True)["text"]
    result(lab, "task_update", **change, action="answer", answer="--json, in lines")
    resumed = result(lab, "task_update", **change, action="resume", notes=["go on"])["task"]
    assert (resumed["status"], resumed["notes"]) == ("todo", ["go on"])
    for action, status in (("edit", "in_progress"), ("request_review", "review_ready")):
        more = {"status": "in_progress"} if action == "edit" else {"note": "done, look"}
        assert result(lab, "task_update", **change, action=action, **more)["task"]["status"] == status
    signed = result(lab, "task_update", **change, action="sign_off", note="looked at it")
    assert signed["task"]["status"] == "done"
    assert result(lab, "inbox")["items"] == []


def test_the_result_is_the_document_of_the_command(lab: Lab) -> None:
    with_task(lab)
    for tool, arguments, argv in (
        ("plan", {}, ["git-plan", "status"]),
        ("plan", {"action": "list"}, ["git-plan", "list"]),
        ("task_show", {"task": "task_001"}, ["git-plan", "task", "show", "task_001"]),
        ("inbox", {}, ["git-plan", "inbox"]),
        ("runs", {}, ["git-plan", "runs"]),
        (
            "runs",
            {"action": "prune", "keep": 3, "dry_run": True},
            ["git-plan", "worker", "prune", "--keep", "3", "--dry-run"],
        ),
        ("leases", {}, ["git-plan", "lease", "list"]),
        ("doctor", {}, ["git-planner", "doctor"]),
    ):
        assert result(lab, tool, **arguments) == json.loads(lab.run(*argv, "--json").out), tool


def test_calls_act_on_the_repository_around_the_path(lab: Lab) -> None:
    with_task(lab)
    lab.git("branch", "other")
    linked = lab.worktree("linked", "other")
    (lab.path / "src" / "deep").mkdir()
    for path, worktree, branch in (
        (lab.path, lab.path, "main"),
        (lab.path / "src" / "deep", lab.path, "main"),
        (linked, linked, "other"),
    ):
        outcome = call(lab, "plan", path, action="list", expected_branch=branch)
        where = {"root": str(lab.path), "worktree": str(worktree), "branch": branch}
        assert outcome["repository"] == where
        assert [plan["name"] for plan in outcome["result"]["plans"]] == ["default"]
    before = lab.refs()
    code, message = refusal(lab, "task_create", linked, title="x", expected_branch="main")
    assert (code, message) == ("E_BRANCH", f"'{linked}' has other checked out, not 'main'")
    lab.git("checkout", "-q", "--detach")
    assert refusal(lab, "plan", expected_branch="main")[1].endswith("has no branch checked out, not 'main'")
    assert lab.refs() == before


def test_the_environment_of_the_server_names_no_repository(lab: Lab, make_lab: MakeLab) -> None:
    other = with_task(make_lab())
    with_task(lab)
    lab.env |= {"GIT_DIR": str(other.path / ".git"), "GIT_WORK_TREE": str(other.path), "GIT_PREFIX": "src/"}
    assert call(lab, "task_create", title="here")["repository"]["root"] == str(lab.path)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_PREFIX"):
        del lab.env[name]
    assert len(result(lab, "tasks_list")["tasks"]) == 2
    assert len(result(other, "tasks_list")["tasks"]) == 1


def test_paths_that_are_no_repository_are_refused(lab: Lab) -> None:
    for path in (lab.root / "nowhere", lab.root, "/dev/null", "relative/nowhere"):
        assert refusal(lab, "plan", path)[0] == "E_NOT_A_REPOSITORY"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_the_repository_of_somebody_else_is_refused(lab: Lab) -> None:
    os.chown(lab.path, 12345, 12345)
    os.chown(lab.path / ".git", 12345, 12345)
    error = call(lab, "plan")["error"]
    assert error["code"] == "E_NOT_A_REPOSITORY"
    assert "dubious ownership" in error["message"]
    assert "safe.directory" in error["hint"]


HOSTILE: list[tuple[str, dict[str, Any], str]] = [
    ("tasks_list", {"unknown": 1}, "/unknown: is not a known key"),
    ("tasks_list", {"limit": "10"}, "/limit: must be a whole number"),
    ("tasks_list", {"limit": 0}, "/limit"),
    ("tasks_list", {"status": "todo"}, "/status"),
    ("task_show", {}, "/task"),
    ("task_create", {"title": ""}, "/title"),
    ("task_create", {"title": "x" * 201}, "/title"),
    ("task_create", {"title": "x", "notes": ["x"] * 65}, "/notes"),
    ("task_create", {"title": "a\x1b[2Jb"}, "/title: holds control characters"),
    ("task_create", {"title": "x", "plan": "a\x00b"}, "/plan: holds control characters"),
    ("task_create", {"title": "\ud800"}, "/title: is not valid Unicode"),
    ("task_create", {"title": "x", "repo_path": "/tmp\x00"}, "/repo_path: holds control characters"),
    ("task_update", {"task": "task_001", "action": "explode"}, "/action"),
    ("record", {"action": "start", "idempotency_key": ""}, "/idempotency_key"),
    ("leases", {"action": "acquire", "pid": True}, "/pid"),
]


def test_arguments_that_do_not_match_the_schema_change_nothing(lab: Lab) -> None:
    before = lab.refs()
    for tool, arguments, problem in HOSTILE:
        given = {"repo_path": str(lab.path), **arguments}
        error = ask(lab, {"tool": tool, "arguments": given})["error"]
        assert error["code"] == "E_USAGE"
        assert error["message"].startswith(f"the arguments of '{tool}' are not valid: {problem}")
    assert lab.refs() == before


def test_arguments_that_do_not_belong_together_are_refused(lab: Lab) -> None:
    with_task(lab)
    change = {"task": "task_001"}
    for tool, arguments, message in (
        ("task_update", {**change, "action": "answer"}, "the action 'answer' needs 'answer'"),
        ("task_update", {**change, "action": "request_input"}, "the action 'request_input' needs 'summary'"),
        ("task_update", {**change, "action": "claim", "notes": ["x"]}, "the action 'claim' takes no 'notes'"),
        ("leases", {"action": "acquire", "session": "s"}, "the action 'acquire' needs 'purpose'"),
        ("leases", {"action": "renew"}, "the action 'renew' needs 'lease'"),
        ("runs", {"action": "stop"}, "the action 'stop' needs 'run'"),
        ("record", {"action": "result"}, "the action needs 'handle'"),
        ("tasks_list", {"ready": True, "status": ["todo"]}, "'ready' and 'status' exclude each other"),
        ("inbox", {"cursor": "x"}, "'x' is no cursor"),
    ):
        assert refusal(lab, tool, **arguments) == ("E_USAGE", message)
    assert refusal(lab, "task_list")[1] == "there is no tool 'task_list'"


def test_the_errors_of_commands_come_with_their_hint(lab: Lab) -> None:
    assert refusal(lab, "tasks_list")[0] == "E_NO_PLAN"
    with_task(lab)
    assert refusal(lab, "task_show", task="task_009") == (
        "E_UNKNOWN_TASK",
        "the plan 'default' has no task 'task_009'",
    )
    assert refusal(lab, "task_update", task="task_001", action="answer", answer="x")[0] == "E_TRANSITION"
    assert refusal(lab, "task_create", title="x", verify=["'"])[0] == "E_USAGE"


def test_lists_come_in_pages(lab: Lab) -> None:
    workshop(lab)
    for number in range(5):
        result(lab, "task_create", title=f"number {number}")
    titles, cursor = [], {}
    for _ in range(3):
        outcome = call(lab, "tasks_list", limit=2, **cursor)
        titles += [task["title"] for task in outcome["result"]["tasks"]]
        cursor = {"cursor": outcome.get("next_cursor")}
    assert titles == [f"number {number}" for number in range(5)]
    assert cursor == {"cursor": None}
    for number in range(1, 4):
        result(lab, "task_update", task=f"task_{number}", action="request_review")
    first = call(lab, "inbox", limit=2)
    rest = call(lab, "inbox", limit=2, cursor=first["next_cursor"])
    subjects = [item["subject"] for page in (first, rest) for item in page["result"]["items"]]
    assert (sorted(subjects), "next_cursor" in rest) == (["task_001", "task_002", "task_003"], False)


def test_doctor_initialises_when_it_is_asked_to(lab: Lab) -> None:
    assert not (lab.path / ".git-planner.yml").exists()
    assert (
        result(lab, "doctor", initialise=True, idempotency_key="once")["schema"]
        == "git-planner/initialised@1"
    )
    assert (lab.path / ".git-planner.yml").exists()


def test_a_lease_is_acquired_renewed_and_released(lab: Lab) -> None:
    wanted = {"action": "acquire", "purpose": "build", "session": "worker", "pid": os.getpid()}
    lease = result(lab, "leases", **wanted)["lease"]
    assert result(lab, "leases", **wanted)["lease"] == lease
    assert result(lab, "leases", action="renew", lease=lease)["lease"] == lease
    assert result(lab, "resources")["heavy"]["held"] == 1
    result(lab, "leases", action="release", lease=lease)
    assert result(lab, "leases")["leases"] == []


def test_a_result_that_is_too_large_is_refused_unless_it_is_that_of_a_change(lab: Lab) -> None:
    workshop(lab)
    result(lab, "task_create", title="x")
    for number in range(9):
        assert "left_out_bytes" not in result(lab, "task_update", **_large(number))
    assert result(lab, "task_update", **_large(9))["left_out_bytes"] > 262_144
    code, message = refusal(lab, "task_show", task="task_001")
    assert code == "E_TOO_LARGE"
    assert "at most 262,144 are returned" in message


def _large(number: int) -> dict[str, Any]:
    notes = [f"{number} {place} " + "x" * 2800 for place in range(10)]
    return {"task": "task_001", "action": "edit", "notes": notes}


@pytest.mark.parametrize("tool", TOOLS)
def test_each_argument_is_an_option_of_the_command(tool: str) -> None:
    properties = input_schema(TOOLS[tool])["properties"]
    for action in properties.get("action", {"enum": [None]})["enum"]:
        names = [*properties]
        if tool == "task_update":
            names = ["task", *ACTIONS[action][1], *filter(None, [ACTIONS[action][2]])]
        for without in ("ready", "status"):
            arguments = {name: _example(properties[name]) for name in names if name != without}
            for without_task in (False, True) if tool == "record" else (False,):
                if without_task:
                    del arguments["task"]
                _check_options(TOOLS[tool].line({**arguments, "action": action}))


def _example(node: dict[str, Any]) -> Any:
    if node["type"] in ("integer", "number"):
        return node["minimum"]
    return {"array": ["-x"], "boolean": True, "string": "-x"}[node["type"]]


def _check_options(line: Command) -> None:
    """Check that the command has the options of a command line."""
    words = [word for word in line.argv()[: len(line.words) + 1] if word]
    command: click.Command = cli.group(line.program)
    while isinstance(command, click.Group):
        name = words[0] if words[0][:1] != "-" else DEFAULTS[line.program]
        words = words[words[0] == name :]
        child = command.get_command(click.Context(command), name)
        assert child is not None, line
        command = child
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in words if word[:1] == "-"} <= known, line
