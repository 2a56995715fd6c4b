"""Starts of sessions that are killed between any two steps; races for one task; hostile and far sessions."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from git_planner.flows.delegation.recover import recover_runs
from git_planner.flows.runs.store import list_runs
from tests.board.session_lab import (
    REPORT,
    kill_session,
    run,
    sessions,
    set_client,
    spawn,
    tell,
    wait_for,
    wait_until,
)
from tests.delegation.scripted_agent import set_up_lab, task
from tests.support.lab import Lab, Ran
from tests.support.sweeps import sampled

ONE = ("Make it smaller", "--write-scope", "src/**", "--verify", "grep -q 90 src/value")


def settle(lab: Lab) -> None:
    """Run the next command after a kill until the task's session has ended."""
    for _ in range(3):
        ran = lab.run("git-plan", "worker", "spawn", "task_001", "--backend", "headless")
        if task(lab).status in ("agent_done", "done"):
            break
        assert ran.status in (0, 3), ran.err
        if ran.status == 0:
            break
    # An earlier one that did not start may be of the same second.
    wait_until(lab, lambda: any(item["outcome"] == "done" for item in sessions(lab)))


@sampled(25, whole=3)
def test_a_start_that_is_killed_anywhere_is_healed_by_the_next(tmp_path: Path, stride: int) -> None:
    call, turn = 3, 0
    while True:
        root = tmp_path / f"lab{call}"
        root.mkdir()
        lab = Lab(root)
        set_up_lab(lab, ONE)
        begun = root / "begun"
        set_client(
            lab, f"PATH='{lab.env['PATH']}'; echo x >>'{begun}'; echo 90 >src/value; {REPORT}; sleep 600"
        )
        env = lab.crash_after(call, after=bool(turn % 2))
        killed = lab.spawn("git-plan", "worker", "spawn", "task_001", "--backend", "headless", **env)
        if killed.status == 0 and len((root / "crash" / str(call) / "count").read_text()) < call:
            assert turn > 1, "nothing was killed"
            return
        settle(lab)
        assert task(lab).status == "agent_done"
        assert lab.show(f"{task(lab).branch}:src/value") == "90\n"
        assert [item["state"] for item in sessions(lab) if item["state"] != "ended"] == []
        assert lab.git("for-each-ref", "refs/planner/claims") == ""
        call, turn = call + stride, turn + 1


@sampled(25, whole=5)
def test_an_integration_that_is_killed_anywhere_is_finished_by_the_next(tmp_path: Path, stride: int) -> None:
    call, turn = 2, 0
    while True:
        root = tmp_path / f"lab{call}"
        root.mkdir()
        lab = Lab(root)
        set_up_lab(lab, ONE)
        assert lab.run("git-plan", "delegate").status == 0
        killed = lab.spawn("git-plan", "worker", "integrate", **lab.crash_after(call, after=bool(turn % 2)))
        if killed.status == 0:
            assert turn > 2, "nothing was killed"
            return
        tell(lab, "worker", "integrate")
        assert lab.show("main:src/value") == "90\n"
        assert task(lab).status == "done", call
        assert lab.git("rev-list", "--count", "main", "--grep", "Planner-Task: task_001") == "1"
        assert lab.git("status", "--porcelain", "--untracked-files=no") == ""
        call, turn = call + stride, turn + 1


@sampled(17, whole=3)
def test_a_close_that_is_killed_anywhere_is_finished_by_the_next(tmp_path: Path, stride: int) -> None:
    call, turn = 1, 0
    while True:
        root = tmp_path / f"lab{call}"
        root.mkdir()
        lab = Lab(root)
        set_up_lab(lab, ONE)
        set_client(lab, "echo 77 >src/value; sleep 600")
        spawn(lab)
        env = lab.crash_after(call, after=bool(turn % 2))
        killed = lab.spawn("git-plan", "worker", "close", "task_001", **env)
        assert run(lab, "worker", "close", "task_001")["state"] == "ended"
        assert task(lab).status == "todo"
        assert lab.show("refs/planner/refused/0001:src/value") == "77\n"
        assert lab.git("for-each-ref", "refs/planner/claims") == ""
        if killed.status == 0:
            assert turn, "nothing was killed"
            return
        call, turn = call + stride, turn + 1


@pytest.mark.parametrize("racers", [4, pytest.param(16, marks=pytest.mark.real)])
def test_many_that_start_a_worker_on_one_task_start_one(lab: Lab, racers: int) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, f"echo x >>'{lab.root}/begun'; echo 90 >src/value; sleep 3; {REPORT}; sleep 600")
    answers: list[Ran] = []

    def start() -> None:
        answers.append(lab.spawn("git-plan", "worker", "spawn", "task_001", "--backend", "headless"))

    threads = [threading.Thread(target=start) for _ in range(racers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lab, "state", "ended")
    assert (lab.root / "begun").read_text() == "x\n"
    assert task(lab).status == "agent_done"
    assert sorted({answer.status for answer in answers}) in ([0], [0, 3]), [item.err for item in answers]


def test_a_killed_worker_after_a_restart_is_suspended(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, f'if [ -n "$thread" ]; then echo 90 >src/value; {REPORT}; fi; sleep 600')
    started = spawn(lab)
    kill_session(lab, started["session"])
    rewritten = lab.path / ".git" / "planner" / "runs" / started["session"] / "session.json"
    document = json.loads(rewritten.read_text())
    # As after a restart: the process was one of an earlier boot of this machine.
    document["process"]["boot"] = "an earlier boot"
    rewritten.write_text(json.dumps(document))
    assert wait_for(lab, "seen", "dead")["state"] == "running"
    wait_until(lab, lambda: run(lab, "suspend")["sessions"] == [])
    assert wait_for(lab, "state", "suspended")
    assert task(lab).status == "in_progress"


def test_sessions_of_another_host_are_shown_as_far_and_left_alone(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, "sleep 600")
    started = spawn(lab)
    run(lab, "shutdown")
    path = f".plans/default/sessions/{started['session']}.json"
    document = json.loads(lab.show(f"plan/default:{path}"))
    other = "20261130T120000Z-abcdefgh"
    lab.git("switch", "-q", "plan/default")
    pulled = {**document, "session": other, "host": "elsewhere", "state": "running", "ended_at": None}
    lab.commit("pulled", {path.replace(started["session"], other): json.dumps(pulled)})
    lab.git("switch", "-q", "main")
    far = next(item for item in sessions(lab) if item["session"] == other)
    assert (far["seen"], far["host"], far["attach"]) == ("far", "elsewhere", None)
    assert run(lab, "suspend")["sessions"] == []
    closed = lab.run("git-plan", "session", "close", other)
    assert (closed.status, "on 'elsewhere'" in closed.err) == (3, True), closed.err


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[" * 100_000,
        '{"schema": "git-planner/session@1"}',
        "\x00\xff",
        " " * 10_000_000,
    ],
)
def test_what_is_no_session_on_a_plan_is_left_out(lab: Lab, content: str) -> None:
    set_up_lab(lab, ONE)
    lab.git("switch", "-q", "plan/default")
    lab.commit("hostile", {".plans/default/sessions/20261130T120000Z-abcdefgh.json": content})
    lab.git("switch", "-q", "main")
    assert sessions(lab) == []


def test_a_session_file_on_this_host_that_cannot_be_read_is_left_out(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, "sleep 600")
    started = spawn(lab)
    run(lab, "shutdown")
    path = lab.path / ".git" / "planner" / "runs" / started["session"] / "session.json"
    path.write_bytes(b"\xff{")
    assert [item["seen"] for item in sessions(lab)] == ["idle"]


def test_a_session_that_was_left_running_and_died_blocks_no_task(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, "echo 77 >src/value; sleep 600")
    started = spawn(lab)
    assert run(lab, "worker", "close", "task_001", "--keep-running")["outcome"] == "left_running"
    kill_session(lab, started["session"])
    wait_until(lab, lambda: "put back" in lab.run("git-plan", "sync").err or is_lapsed(lab))
    assert spawn(lab)["session"] != started["session"]
    assert lab.show("refs/planner/refused/0001:src/value") == "77\n"


def test_a_start_that_fails_after_the_claim_can_be_tried_again(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, f"echo 90 >src/value; {REPORT}; sleep 600")
    lab.git("config", "planner.worktrees", str(lab.path / "inside"))
    refused = lab.run("git-plan", "worker", "spawn", "task_001", "--backend", "headless")
    assert (refused.status, "lies inside" in refused.err) == (3, True), refused.err
    tell(lab, "sync")
    lab.git("config", "--unset", "planner.worktrees")
    spawn(lab)
    wait_until(lab, lambda: task(lab).status == "agent_done")
    assert lab.git("for-each-ref", "refs/planner/claims") == ""


def test_a_process_that_dies_during_a_recovery_is_left_to_the_next(lab: Lab) -> None:
    set_up_lab(lab, ONE, ("Another", "--write-scope", "docs/**"))
    set_client(lab, "sleep 600")
    first, second = spawn(lab, "task_001"), spawn(lab, "task_002")
    kill_session(lab, second["session"])
    # Sessions of one second are in no order.
    wait_until(lab, lambda: "dead" in [item["seen"] for item in sessions(lab)])

    def kill_first(_: object) -> None:
        # The claim of the first is in force when it is looked at, and its process dies afterwards.
        with suppress(ProcessLookupError):
            kill_session(lab, first["session"])

    with lab.entered():
        recovered = recover_runs(lab.repo, "default", kill_first)
        assert [run.task for run in recovered] == ["task_002"]
        assert [run.ended_at for run in list_runs(lab.repo)] == [None, None]
    suspended = run(lab, "suspend")["sessions"]
    assert [item["state"] for item in sessions(lab)] == ["suspended", "suspended"], suspended
    set_client(lab, f"echo 90 >src/value; {REPORT}; sleep 600")
    spawn(lab, "task_001")
    wait_until(lab, lambda: task(lab).status == "agent_done")


def test_a_session_that_its_plan_cannot_be_told_of_has_no_terminal(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    begun = lab.root / "begun"
    set_client(lab, f"echo x >>'{begun}'; echo 90 >src/value; {REPORT}; sleep 600")
    lab.git("worktree", "add", "-q", str(lab.root / "plan"), "plan/default")
    (lab.root / "plan" / ".plans" / "default" / "sessions").write_text("a person's file")
    refused = lab.spawn("git-plan", "worker", "spawn", "task_001", "--backend", "headless")
    assert "E_CHECKED_OUT" in refused.err, refused.err
    session = sessions(lab)[-1]
    assert (session["state"], session["seen"]) == ("reserved", "dead")
    lab.git("worktree", "remove", "--force", str(lab.root / "plan"))
    assert spawn(lab)["state"] == "running"
    wait_until(lab, lambda: task(lab).status == "agent_done")
    assert begun.read_text() == "x\n"


def is_lapsed(lab: Lab) -> bool:
    """Return whether the claim of a dead process has been noticed."""
    claim = lab.show("refs/planner/claims/default/task_001:claim.json")
    return bool(json.loads(claim)["process"] is None)
