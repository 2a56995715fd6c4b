"""Dead delegators: killed at any call of git, with agents that outlive them; and `git plan runs`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from git_planner.flows.runs import store
from git_planner.host.process_identity import identity
from tests.delegation.scripted_agent import (
    DONE,
    RESULT_COMMAND,
    delegate,
    error_code,
    saved_runs,
    set_agent_script,
    set_up_lab,
    started_tasks,
    task,
)
from tests.support.lab import Lab, command_line
from tests.support.signalling import is_running, kill_without_agents, wait_for
from tests.support.sweeps import sampled

ONE = ("Make it smaller", "--write-scope", "src/**")


def doctor(lab: Lab, *argv: str) -> tuple[int, dict[str, Any]]:
    ran = lab.run("git-plan", "runs", "--json", *argv)
    document: dict[str, Any] = json.loads(ran.out)
    return ran.status, document


def start_and_kill_delegator(lab: Lab, *script: str) -> int:
    """Start a task, kill its delegator while the agent works, and return the agent's pid."""
    set_agent_script(lab, f'echo $$ >"{lab.root}/pid"', *script, f'touch "{lab.root}/ready"', "exec sleep 77")
    process = lab.start("git-plan", "delegate")
    wait_for(lab.root / "ready")
    kill_without_agents(process.pid)
    process.communicate()
    return int((lab.root / "pid").read_text())


@sampled(19)
def test_killed_at_any_call_of_git_each_task_is_done_once(tmp_path: Path, stride: int) -> None:
    call, turn = 2, 0
    while True:
        root = tmp_path / f"lab{call}"
        root.mkdir()
        lab = Lab(root)
        set_up_lab(lab, ONE)
        # Only the delegator's own calls count: the agent has the real git.
        set_agent_script(
            lab, f"PATH='{lab.env['PATH']}'", 'test "$(cat src/value)" = 100', "echo 90 >src/value", DONE
        )
        killed = lab.spawn("git-plan", "delegate", **lab.crash_after(call, after=bool(turn % 2)))
        if killed.status == 0:
            assert turn > 2, "nothing was killed"
            return
        status, _ = delegate(lab)
        done_task = task(lab)
        assert (status, done_task.status, len(done_task.commits)) == (0, "agent_done", 1), (call, killed.err)
        assert lab.show(f"{done_task.commits[0]}:src/value") == "90\n"
        assert len(started_tasks(lab)) <= done_task.attempt, call
        started_runs = (root / "begun").read_text().split()[1::2]
        assert len(set(started_runs)) == len(started_runs), call
        assert [ref for ref in lab.refs() if ref.startswith("refs/planner/claims/")] == []
        assert all(run.ended_at for run in saved_runs(lab))
        lab.fsck()
        call, turn = call + stride, turn + 1


def test_an_agent_that_outlived_its_delegator_is_stopped_and_its_task_restarted(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    agent = start_and_kill_delegator(lab, "echo 42 >src/value")
    assert is_running(agent)
    assert doctor(lab)[1]["runs"][0]["verdict"] == "dead"
    set_agent_script(lab, "echo 90 >src/value", DONE)
    status, document = delegate(lab)
    assert (status, [run["outcome"] for run in document["recovered"]]) == (0, ["lost"])
    assert not is_running(agent)
    done_task = task(lab)
    assert (done_task.status, done_task.attempt, started_tasks(lab)) == ("agent_done", 2, ["task_001"] * 2)
    assert lab.show(f"{document['recovered'][0]['kept']}:src/value") == "42\n"
    assert lab.show(f"{done_task.branch}:src/value") == "90\n"


def test_a_result_that_a_dead_delegator_did_not_read_is_applied(lab: Lab) -> None:
    set_up_lab(lab, ONE, ("two", "--write-scope", "docs/**"))
    agent = start_and_kill_delegator(lab, "echo 90 >src/value", DONE)
    set_agent_script(lab, DONE)
    status, document = delegate(lab)
    assert (status, [run["outcome"] for run in document["recovered"]]) == (0, ["done"])
    assert not is_running(agent)
    assert (task(lab).status, task(lab).attempt) == ("agent_done", 1)
    assert lab.show(f"{task(lab).branch}:src/value") == "90\n"
    assert started_tasks(lab) == ["task_001", "task_002"]


def test_a_task_that_was_reset_after_its_delegator_died_is_not_blocked_again(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    agent = start_and_kill_delegator(lab, f"{RESULT_COMMAND} --status failed --summary no")
    assert lab.run("git-plan", "task", "release", "task_001", "--force").status == 0
    assert task(lab).attempt == 2
    assert delegate(lab, "--dry-run")[1]["would"] == ["task_001"]
    set_agent_script(lab, "echo 90 >src/value", DONE)
    assert delegate(lab)[0] == 0
    assert (task(lab).status, task(lab).attempt) == ("agent_done", 2)
    assert not is_running(agent)
    assert sorted(str(run.outcome) for run in saved_runs(lab)) == ["done", "stale"]


def test_after_a_reboot_no_process_is_searched_by_pid(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    agent = start_and_kill_delegator(lab, "echo 42 >src/value")
    decoy = psutil.Process(agent)
    with lab.entered():
        run = store.list_runs(lab.repo)[0]
        path = store.run_folder(lab.repo, run.run) / "process.json"
        process = json.loads(path.read_text())
        path.write_text(json.dumps({**process, "boot": "an earlier one", "mark": "0" * 32}))
        assert run.process is not None
        store.save_run(lab.repo, replace(run, process=replace(run.process, boot="an earlier one")))
    set_agent_script(lab, "echo 90 >src/value", DONE)
    status, document = delegate(lab)
    assert (status, document["recovered"][0]["reason"]) == (0, "the machine was restarted during its run")
    assert decoy.is_running()
    decoy.kill()


def test_the_doctor_shows_and_stops_only_own_processes(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_agent_script(
        lab,
        "echo some words; echo last words",
        f'echo $$ >"{lab.root}/pid"',
        f'touch "{lab.root}/ready"',
        "exec sleep 77",
    )
    process = lab.start("git-plan", "delegate")
    wait_for(lab.root / "ready")
    (folder,) = lab.path.glob(".git/planner/runs/2*")
    wait_for(folder / "heartbeat.json")
    wait_for(folder / "stdout", "last words\n")
    status, document = doctor(lab)
    finding = document["runs"][0]
    assert (status, finding["verdict"], finding["last_words"]) == (0, "alive", ["some words", "last words"])
    # The other is its supervisor, where there is one.
    assert int((lab.root / "pid").read_text()) in finding["agent"]
    assert finding["heartbeat"]
    run = finding["run"]["run"]
    output = lab.run("git-plan", "runs", "--run", run).out
    assert "alive" in output
    assert "| last words" in output
    assert error_code(lab.run("git-plan", "runs", "--run", run, "--rerun", "--json")) == "E_BUSY"
    _, ended = doctor(lab, "--run", run, "--end")
    assert ended["ended"] == finding["agent"]
    assert process.wait(timeout=300) == 1
    assert (task(lab).status, saved_runs(lab)[0].outcome) == ("blocked", "agent_failed")
    assert doctor(lab, "--run", run)[1]["runs"][0]["verdict"] == "ended"
    assert doctor(lab, "--run", run, "--end")[1]["ended"] == []
    command = doctor(lab, "--run", run, "--rerun")[1]["again"]
    assert command == "git plan delegate --task task_001 --plan default"
    set_agent_script(lab, "echo 90 >src/value", DONE)
    assert lab.run(*command.replace("git ", "git-", 1).split()).status == 0
    assert (task(lab).status, task(lab).attempt) == ("agent_done", 2)


def test_another_process_with_the_pid_of_an_agent_is_left_alone(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    agent = start_and_kill_delegator(lab)
    killed = psutil.Process(agent)
    killed.kill()
    killed.wait(60)
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with lab.entered():
        run = store.list_runs(lab.repo)[0]
        path = store.run_folder(lab.repo, run.run) / "process.json"
        began = psutil.Process(stranger.pid).create_time() - 60
        before = {"pid": stranger.pid, "create_time": began, "ticks": 1}
        path.write_text(json.dumps({**json.loads(path.read_text()), **before}))
    assert doctor(lab, "--run", run.run)[1]["runs"][0]["agent"] == []
    assert doctor(lab, "--run", run.run, "--end")[1]["ended"] == []
    assert stranger.poll() is None
    assert task(lab).status == "todo"
    stranger.communicate(b"\n")


def test_a_missing_heartbeat_is_reported_as_stalled(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    delegate(lab)
    with lab.entered():
        run = store.list_runs(lab.repo)[0]
        path = store.run_folder(lab.repo, run.run) / "heartbeat.json"
        beat = json.loads(path.read_text())
        path.write_text(json.dumps({**beat, "at": "2020-01-01T00:00:00Z"}))
        own_process = identity(os.getpid())
        store.save_run(lab.repo, replace(run, ended_at=None, process=own_process))
    status, document = doctor(lab)
    assert (status, document["runs"][0]["verdict"]) == (1, "stalled")
    (path.parent / "meta.json").write_text("[]")
    assert doctor(lab) == (0, {**document, "runs": []})
    assert error_code(lab.run("git-plan", "runs", "--run", "../../x", "--json")) == "E_RESULT"
    assert lab.run("git-plan", "runs").out == "no agent has worked on a task here yet\n"


def test_changes_in_a_worktree_without_its_git_file_are_quarantined(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    os.kill(start_and_kill_delegator(lab, "echo 42 >src/value", "rm .git"), signal.SIGKILL)
    set_agent_script(lab, "echo 90 >src/value", DONE)
    _, document = delegate(lab)
    assert [run["outcome"] for run in document["recovered"]] == ["lost"]
    assert lab.show(f"{document['recovered'][0]['kept']}:src/value") == "42\n"


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_a_delegator_in_another_container_keeps_its_task_and_its_work(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    wait = f'while [ ! -e "{lab.root}/go" ]; do sleep 0.05; done'
    set_agent_script(lab, "echo 90 >src/value", f'touch "{lab.root}/ready"', wait, DONE)
    container = ["bwrap", "--dev-bind", "/", "/", "--unshare-pid", "--proc", "/proc"]
    process = subprocess.Popen([*container, *command_line("git-plan", "delegate")], cwd=lab.path, env=lab.env)
    try:
        wait_for(lab.root / "ready")
        assert lab.run("git-plan", "sync").status == 0
        assert [run["verdict"] for run in doctor(lab)[1]["runs"]] == ["alive"]
        assert (task(lab).status, task(lab).attempt) == ("in_progress", 1)
        ran = lab.run("git-plan", "runs", "--end", "--run", saved_runs(lab)[0].run, "--json")
        assert error_code(ran) == "E_BUSY"
    finally:
        (lab.root / "go").touch()
    assert process.wait(60) == 0
    assert (task(lab).status, task(lab).attempt, started_tasks(lab)) == ("agent_done", 1, ["task_001"])
    assert lab.show(f"{task(lab).branch}:src/value") == "90\n"


def test_a_pipe_in_the_place_of_a_file_of_a_run_does_not_hang(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_agent_script(lab, DONE)
    delegate(lab)
    (run,) = saved_runs(lab)
    folder = store.run_folder(lab.repo, run.run)
    # As a run that is still being carried: its heartbeat and its agent are looked at.
    store.save_run(lab.repo, replace(run, ended_at=None, outcome=None, process=identity(os.getpid())))
    for name in ("heartbeat.json", "process.json", "stdout", "stderr"):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
    status, document = doctor(lab)
    assert (status, [entry["run"]["run"] for entry in document["runs"]]) == (0, [run.run])
    # As a run that asked a question.
    (folder / "out/result.json").unlink()
    os.mkfifo(folder / "out/result.json")
    store.save_run(lab.repo, replace(run, outcome="needs_input", reason="which one?"))
    assert doctor(lab)[1]["runs"][0]["question"][0] == "  question: which one?"
    (folder / "meta.json").unlink()
    os.mkfifo(folder / "meta.json")
    assert doctor(lab)[1]["runs"] == []
