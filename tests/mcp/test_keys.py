"""Idempotency keys: a call is done once, whoever repeats it, and whenever the first one was killed."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from git_planner import cli
from git_planner.errors import PlannerError
from git_planner.mcp import calls, jobs, keys
from tests.mcp.called import call, refusal, result
from tests.support.lab import Lab
from tests.support.workshop import workshop


def titles(lab: Lab) -> list[str]:
    return [task["title"] for task in result(lab, "tasks_list")["tasks"]]


def folder(lab: Lab) -> Path:
    return lab.path / ".git" / "planner" / "mcp" / "keys"


def test_a_repeated_call_is_answered_as_the_first_time(lab: Lab) -> None:
    workshop(lab)
    first = call(lab, "task_create", title="one", idempotency_key="k")
    result(lab, "task_update", task="task_001", action="edit", title="two")
    assert call(lab, "task_create", title="one", idempotency_key="k") == first
    assert titles(lab) == ["two"]
    assert result(lab, "task_create", title="one", idempotency_key="other")["task"]["id"] == "task_002"


def test_a_key_with_other_arguments_is_refused(lab: Lab) -> None:
    workshop(lab)
    result(lab, "task_create", title="one", idempotency_key="k")
    lab.git("branch", "other")
    linked = lab.worktree("linked", "other")
    for path, tool, arguments in (
        (lab.path, "task_create", {"title": "two"}),
        (lab.path, "task_update", {"task": "task_001", "action": "claim"}),
        (linked, "task_create", {"title": "one"}),
    ):
        code, message = refusal(lab, tool, path, idempotency_key="k", **arguments)
        assert (code, message) == ("E_KEY", "the idempotency key belongs to a call with other arguments")
    assert titles(lab) == ["one"]


def test_a_refused_call_may_be_tried_again_with_its_key(lab: Lab) -> None:
    assert call(lab, "task_create", title="one", idempotency_key="k")["error"]["code"] == "E_NO_POLICY"
    workshop(lab)
    result(lab, "task_create", title="one", idempotency_key="k")
    assert titles(lab) == ["one"]


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("task_create", {"title": "one more"}),
    ("task_update", {"task": "task_001", "action": "edit", "notes": ["a note"]}),
    ("task_update", {"task": "task_001", "action": "request_input", "summary": "really?"}),
    ("task_update", {"task": "task_002", "action": "claim"}),
    ("leases", {"action": "acquire", "purpose": "p", "session": "s", "pid": os.getpid()}),
]


class Killed(BaseException):
    """The process ends here, without any clean-up."""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_call_that_was_killed_is_done_once(lab: Lab, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop(lab)
    for title in ("first", "second"):
        result(lab, "task_create", title=title)
    result(lab, "task_update", task="task_001", action="edit", status="in_progress")
    for number, (tool, arguments) in enumerate(CHANGES):
        keyed = {**arguments, "idempotency_key": f"k{number}"}

        def killed(*_: object, **__: object) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            # Before the command begins, or after it, when its outcome is about to be kept.
            patch.setattr(*((cli, "main") if moment == "before" else (keys.HeldKey, "end")), killed)
            with pytest.raises(Killed):
                call(lab, tool, **keyed)
        after_kill = lab.refs()
        outcome = call(lab, tool, **keyed)
        assert "error" not in outcome, outcome
        if moment == "after" and tool != "leases":
            assert lab.refs() == after_kill, tool
        assert call(lab, tool, **keyed) == outcome
    tasks = [result(lab, "task_show", task=name)["task"] for name in ("task_001", "task_002", "task_003")]
    assert [task["title"] for task in tasks] == ["first", "second", "one more"]
    assert len(titles(lab)) == 3
    assert (tasks[0]["notes"], len(tasks[0]["inputs"])) == (["a note"], 1)


def test_a_created_task_is_shown_after_a_kill(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop(lab)
    with monkeypatch.context() as patch:
        patch.setattr(keys.HeldKey, "end", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            call(lab, "task_create", title="one", idempotency_key="k")
    result(lab, "task_create", title="two")
    shown = result(lab, "task_create", title="one", idempotency_key="k")
    assert (shown["task"]["id"], shown["task"]["title"]) == ("task_001", "one")
    assert "Planner-Operation: " in lab.git("log", "--format=%B", "plan/default")


def test_racing_calls_with_one_key_do_the_thing_once(lab: Lab) -> None:
    workshop(lab)
    answers: list[bytes] = []
    began = threading.Barrier(4)
    request = {"repo_path": str(lab.path), "title": "one", "idempotency_key": "k"}

    def ask() -> None:
        began.wait()
        calls.answer_request(
            cli.main, json.dumps({"tool": "task_create", "arguments": request}).encode(), answers.append
        )

    with lab.entered():
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (len(answers), len(set(answers))) == (4, 1)
    assert titles(lab) == ["one"]


def test_a_key_that_another_process_holds_is_waited_for(lab: Lab) -> None:
    workshop(lab)
    request = {"repo_path": str(lab.path), "title": "one", "idempotency_key": "k"}
    message = json.dumps({"tool": "task_create", "arguments": request}).encode()
    answers: list[bytes] = []
    waiting = threading.Thread(target=calls.answer_request, args=(cli.main, message, answers.append))
    with lab.entered():
        with keys.held_key(lab.repo, "k", {}):
            again = keys.held_key(lab.repo, "k", {}, seconds=0.0)
            with pytest.raises(PlannerError, match="still carries out"):
                again.__enter__()
            waiting.start()
            assert answers == []
        waiting.join()
    assert "error" not in json.loads(answers[0])
    assert titles(lab) == ["one"]


def test_keys_are_kept_private_and_for_a_limited_time(lab: Lab) -> None:
    workshop(lab)
    result(lab, "task_create", title="one", idempotency_key="k")
    (entry,) = folder(lab).glob("*.json")
    assert entry.stat().st_mode & 0o777 == 0o600
    old = time.time() - keys.LIFETIME_SECONDS - 60
    os.utime(entry, (old, old))
    result(lab, "task_create", title="one", idempotency_key="k")
    assert titles(lab) == ["one", "one"]
    for number in range(4):
        result(lab, "task_create", title="x", idempotency_key=f"k{number}")
    keys.remove_expired(folder(lab), most=3)
    assert len(list(folder(lab).glob("*.json"))) == 3
    # A damaged entry is as none.
    for path in folder(lab).glob("*.json"):
        path.write_text("{")
    assert "error" not in call(lab, "task_create", title="x", idempotency_key="k3")


def test_a_folder_that_cannot_be_written_is_named(lab: Lab) -> None:
    workshop(lab)
    (lab.path / ".git" / "planner" / "mcp").mkdir(parents=True)
    folder(lab).write_text("a file")
    code, message = refusal(lab, "task_create", title="one", idempotency_key="k")
    assert code == "E_UNWRITABLE"
    assert str(folder(lab)) in message


def test_long_work_returns_a_handle(lab: Lab) -> None:
    workshop(lab)
    wanted = {"action": "start", "idempotency_key": "k"}
    begun = result(lab, "record", **wanted)
    # Here the answer comes first, and the work is over when the call returns.
    assert begun["state"] == "running"
    handle = begun["handle"]
    ended = result(lab, "record", action="result", handle=handle)
    assert (ended["state"], ended["exit"], ended["tool"]) == ("ended", 0, "record")
    assert ended["result"]["record"]["verdict"] == "baseline"
    again = result(lab, "record", **wanted)
    assert (again["handle"], again["state"]) == (handle, "ended")
    assert len(result(lab, "record", action="list")["records"]) == 1
    assert result(lab, "record", action="show")["id"] == result(lab, "record", action="best")["id"]
    assert refusal(lab, "record", action="result", handle="job-" + "a" * 16)[0] == "E_USAGE"
    assert refusal(lab, "record", action="result", handle="../../x")[0] == "E_USAGE"


def test_a_task_is_verified_in_the_background(lab: Lab) -> None:
    workshop(lab)
    result(lab, "task_create", title="one", verify=["false"])
    begun = result(lab, "record", action="start", task="task_001", ref="HEAD")
    ended = result(lab, "record", action="result", handle=begun["handle"])
    assert (ended["exit"], ended["result"]["task"]["evidence"][0]["ok"]) == (1, False)


def test_work_whose_process_was_killed_is_lost(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop(lab)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "end_job", lambda *_: None)
        handle = result(lab, "record", action="start")["handle"]
    assert result(lab, "record", action="result", handle=handle)["state"] == "running"
    note = lab.path / ".git" / "planner" / "mcp" / "jobs" / handle / "job.json"
    document = json.loads(note.read_text())
    document["process"]["create_time"] -= 100
    document["process"]["ticks"] -= 100
    note.write_text(json.dumps(document))
    assert result(lab, "record", action="result", handle=handle)["state"] == "lost"
    assert result(lab, "record", action="stop", handle=handle)["state"] == "lost"
