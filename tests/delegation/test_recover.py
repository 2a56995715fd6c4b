"""Delegators that died: killed at any call of git, with agents that outlived them; and `git plan runs`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from git_planner.flows.runs import store
from git_planner.host.process_identity import identity
from tests.delegation.scripted_agent import DONE, SAY, begun, bench, delegate, kept, refused, task, works
from tests.delegation.test_many_delegators import start
from tests.iterations.test_resume import runs, wait_for
from tests.support.lab import Lab

# A whole sweep (stride 1) takes minutes. The stride is odd: runs with and without "after" meet other calls.
STRIDE = int(os.environ.get("LAB_SWEEP_STRIDE", "41"))
ONE = ("Make it smaller", "--write-scope", "src/**")


def doctor(lab: Lab, *argv: str) -> tuple[int, dict[str, Any]]:
    ran = lab.run("git-plan", "runs", "--json", *argv)
    found: dict[str, Any] = json.loads(ran.out)
    return ran.status, found


def died(lab: Lab, *script: str) -> int:
    """Begin a task, and kill its delegator while the agent works; return the agent's number."""
    works(lab, f'echo $$ >"{lab.root}/pid"', *script, f'touch "{lab.root}/ready"', "exec sleep 77")
    process = start(lab)
    wait_for(lab.root / "ready")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return int((lab.root / "pid").read_text())


def test_killed_at_any_call_of_git_each_task_is_done_once(tmp_path: Path) -> None:
    call, turn = 2, 0
    while True:
        root = tmp_path / f"lab{call}"
        root.mkdir()
        lab = Lab(root)
        bench(lab, ONE)
        # Only the delegator's own calls count: the agent has the real git.
        works(lab, f"PATH='{lab.env['PATH']}'", 'test "$(cat src/value)" = 100', "echo 90 >src/value", DONE)
        killed = lab.spawn("git-plan", "delegate", **lab.crash_after(call, after=bool(turn % 2)))
        if killed.status == 0:
            assert turn > 2, "nothing was killed"
            return
        status, _ = delegate(lab)
        one = task(lab)
        assert (status, one.status, len(one.commits)) == (0, "agent_done", 1), (call, killed.err)
        assert lab.show(f"{one.commits[0]}:src/value") == "90\n"
        assert len(begun(lab)) <= one.attempt, call
        runs_begun = (root / "begun").read_text().split()[1::2]
        assert len(set(runs_begun)) == len(runs_begun), call
        assert [each for each in lab.refs() if each.startswith("refs/planner/claims/")] == []
        assert all(each.ended_at for each in kept(lab))
        lab.fsck()
        call, turn = call + STRIDE, turn + 1


def test_an_agent_that_outlived_its_delegator_is_ended_and_its_task_begun_anew(lab: Lab) -> None:
    bench(lab, ONE)
    agent = died(lab, "echo 42 >src/value")
    assert runs(agent)
    assert doctor(lab)[1]["runs"][0]["verdict"] == "dead"
    works(lab, "echo 90 >src/value", DONE)
    status, done = delegate(lab)
    assert (status, [each["outcome"] for each in done["recovered"]]) == (0, ["lost"])
    assert not runs(agent)
    one = task(lab)
    assert (one.status, one.attempt, begun(lab)) == ("agent_done", 2, ["task_001"] * 2)
    assert lab.show(f"{done['recovered'][0]['kept']}:src/value") == "42\n"
    assert lab.show(f"{one.branch}:src/value") == "90\n"


def test_a_result_that_a_dead_delegator_did_not_read_still_counts(lab: Lab) -> None:
    bench(lab, ONE, ("two", "--write-scope", "docs/**"))
    agent = died(lab, "echo 90 >src/value", DONE)
    works(lab, DONE)
    status, done = delegate(lab)
    assert (status, [each["outcome"] for each in done["recovered"]]) == (0, ["done"])
    assert not runs(agent)
    assert (task(lab).status, task(lab).attempt) == ("agent_done", 1)
    assert lab.show(f"{task(lab).branch}:src/value") == "90\n"
    assert begun(lab) == ["task_001", "task_002"]


def test_a_task_that_was_reset_after_its_delegator_died_is_not_blocked_again(lab: Lab) -> None:
    bench(lab, ONE)
    agent = died(lab, f"{SAY} --status failed --summary no")
    assert lab.run("git-plan", "task", "release", "task_001", "--force").status == 0
    assert task(lab).attempt == 2
    assert delegate(lab, "--dry-run")[1]["would"] == ["task_001"]
    works(lab, "echo 90 >src/value", DONE)
    assert delegate(lab)[0] == 0
    assert (task(lab).status, task(lab).attempt) == ("agent_done", 2)
    assert not runs(agent)
    assert sorted(str(each.outcome) for each in kept(lab)) == ["done", "stale"]


def test_after_a_restart_of_the_machine_nothing_is_looked_for_by_number(lab: Lab) -> None:
    bench(lab, ONE)
    agent = died(lab, "echo 42 >src/value")
    decoy = psutil.Process(agent)
    with lab.entered():
        run = store.list_runs(lab.repo)[0]
        place = store.run_folder(lab.repo, run.run) / "process.json"
        who = json.loads(place.read_text())
        place.write_text(json.dumps({**who, "boot": "an earlier one", "mark": "0" * 32}))
        assert run.process is not None
        store.save_run(lab.repo, replace(run, process=replace(run.process, boot="an earlier one")))
    works(lab, "echo 90 >src/value", DONE)
    status, done = delegate(lab)
    assert (status, done["recovered"][0]["reason"]) == (0, "the machine was restarted during its run")
    assert decoy.is_running()
    decoy.kill()


def test_the_doctor_says_what_runs_and_ends_only_what_is_ours(lab: Lab) -> None:
    bench(lab, ONE)
    lab.git("config", "planner.heartbeat", "0.2")
    works(
        lab,
        "echo some words; echo last words",
        f'echo $$ >"{lab.root}/pid"',
        f'touch "{lab.root}/ready"',
        "exec sleep 77",
    )
    process = start(lab)
    wait_for(lab.root / "ready")
    status, found = doctor(lab)
    one = found["runs"][0]
    assert (status, one["verdict"], one["last_words"]) == (0, "alive", ["some words", "last words"])
    assert one["agent"] == [int((lab.root / "pid").read_text())]
    assert one["heartbeat"]
    run = one["run"]["run"]
    shown = lab.run("git-plan", "runs", "--run", run).out
    assert "alive" in shown
    assert "| last words" in shown
    assert refused(lab.run("git-plan", "runs", "--run", run, "--rerun", "--json")) == "E_BUSY"
    _, ended = doctor(lab, "--run", run, "--end")
    assert ended["ended"] == one["agent"]
    assert process.wait(timeout=30) == 1
    assert (task(lab).status, kept(lab)[0].outcome) == ("blocked", "agent_failed")
    assert doctor(lab, "--run", run)[1]["runs"][0]["verdict"] == "ended"
    assert doctor(lab, "--run", run, "--end")[1]["ended"] == []
    again = doctor(lab, "--run", run, "--rerun")[1]["again"]
    assert again == "git plan delegate --task task_001 --plan default"
    works(lab, "echo 90 >src/value", DONE)
    assert lab.run(*again.replace("git ", "git-", 1).split()).status == 0
    assert (task(lab).status, task(lab).attempt) == ("agent_done", 2)


def test_a_stranger_that_took_an_agents_number_is_left_alone(lab: Lab) -> None:
    bench(lab, ONE)
    agent = died(lab)
    psutil.Process(agent).kill()
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with lab.entered():
        run = store.list_runs(lab.repo)[0]
        place = store.run_folder(lab.repo, run.run) / "process.json"
        before = {"pid": stranger.pid, "create_time": psutil.Process(stranger.pid).create_time() - 60}
        place.write_text(json.dumps({**json.loads(place.read_text()), **before}))
    assert doctor(lab, "--run", run.run)[1]["runs"][0]["agent"] == []
    assert doctor(lab, "--run", run.run, "--end")[1]["ended"] == []
    assert stranger.poll() is None
    assert task(lab).status == "todo"
    stranger.communicate(b"\n")


def test_a_heart_that_does_not_beat_is_told(lab: Lab) -> None:
    bench(lab, ONE)
    delegate(lab)
    with lab.entered():
        run = store.list_runs(lab.repo)[0]
        place = store.run_folder(lab.repo, run.run) / "heartbeat.json"
        beat = json.loads(place.read_text())
        place.write_text(json.dumps({**beat, "at": "2020-01-01T00:00:00Z"}))
        me = identity(os.getpid())
        store.save_run(lab.repo, replace(run, ended_at=None, process=me))
    status, found = doctor(lab)
    assert (status, found["runs"][0]["verdict"]) == (1, "stalled")
    (place.parent / "meta.json").write_text("[]")
    assert doctor(lab) == (0, {**found, "runs": []})
    assert refused(lab.run("git-plan", "runs", "--run", "../../x", "--json")) == "E_RESULT"
    assert lab.run("git-plan", "runs").out == "no agent has worked on a task here yet\n"


def test_what_an_agent_left_without_the_link_of_its_worktree_is_kept_by_the_next(lab: Lab) -> None:
    bench(lab, ONE)
    os.kill(died(lab, "echo 42 >src/value", "rm .git"), signal.SIGKILL)
    works(lab, "echo 90 >src/value", DONE)
    _, done = delegate(lab)
    assert [each["outcome"] for each in done["recovered"]] == ["lost"]
    assert lab.show(f"{done['recovered'][0]['kept']}:src/value") == "42\n"
