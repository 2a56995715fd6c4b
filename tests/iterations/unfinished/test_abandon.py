"""Giving up an unfinished iteration: its record, its worktree, and what it leaves."""

from __future__ import annotations

import json
import signal

import pytest

from git_planner.flows.iterations.iterate import IterateOptions
from git_planner.flows.iterations.unfinished.abandon import abandon_iteration
from git_planner.flows.iterations.unfinished.resume import resume_iteration
from git_planner.flows.planning.list_iterations import list_iterations
from tests.iterations.unfinished.test_resume import interrupt
from tests.support.lab import Lab
from tests.support.signalling import wait_for
from tests.support.small_campaign import agent, attempt, campaign, hush, sound


def test_an_interrupted_iteration_is_given_up_with_its_reason_and_its_changes_are_kept(lab: Lab) -> None:
    campaign(lab)
    interrupt(lab, "echo 42 >value", "--slug", "x", number=signal.SIGINT)
    ran = lab.run("git-iterate", "abandon", "1", "--why", "too  slow\nanyway", "--json")
    assert ran.status == 0, ran.err
    document = json.loads(ran.out)
    record = document["record"]
    assert (record["verdict"], record["reason"]) == ("unmeasured", "abandoned")
    assert "too slow anyway" in record["summary"]
    assert (document["kept"], document["known"]) == ("refs/planner/interrupted/0001", False)
    assert lab.show("refs/planner/interrupted/0001:value") == "42\n"
    (iteration,) = list_iterations(lab.repo)
    assert (iteration.phase, iteration.worktree) == ("recorded", None)
    assert "refs/heads/iter/0001-x" in lab.refs()
    # Nothing is left to resume, and the same command again changes nothing.
    assert resume_iteration(lab.repo, None, IterateOptions(), hush).number == 0
    before = lab.refs()
    assert json.loads(lab.run("git-iterate", "abandon", "1", "--json").out)["known"] is True
    assert lab.refs() == before
    # The next planner reads why.
    agent(lab, "echo 90 >value")
    assert lab.run("git-iterate").status == 0
    assert "too slow anyway" in lab.run("git-iterate", "show", "1").out
    sound(lab)


def test_a_commit_that_was_not_recorded_stays_on_its_branch(lab: Lab) -> None:
    campaign(lab)
    interrupt(lab, "true", "--slug", "x")
    agent(lab, "echo 90 >value")
    ran = lab.spawn("git-iterate", "resume", "1", **lab.crash_after(10**6))
    calls = len((lab.root / "crash" / str(10**6) / "count").read_text())
    assert ran.status == 0, ran.err
    # A second iteration is killed after its commit and before its record.
    agent(lab, "echo 80 >value")
    for call in range(calls - 1, 1, -3):
        lab.spawn("git-iterate", "--slug", f"y{call}", **lab.crash_after(call))
        last = list_iterations(lab.repo)[-1]
        if last.phase == "committed":
            break
    else:
        pytest.fail("no call was between commit and record")
    tip = last.tip
    done = abandon_iteration(lab.repo, last.number, "", hush)
    assert done.record is not None
    assert (done.record.commit, done.record.reason) == (tip, "abandoned")
    assert lab.refs()[f"refs/heads/{last.branch}"] == tip
    sound(lab)


def test_killed_at_every_call_it_can_be_given_again(lab: Lab) -> None:
    campaign(lab)
    interrupt(lab, "echo 42 >value", "--slug", "x")
    for call in range(2, 200, 7):
        ran = lab.spawn("git-iterate", "abandon", "1", **lab.crash_after(call))
        if ran.status == 0:
            break
    ran = lab.run("git-iterate", "abandon", "1", "--json")
    assert json.loads(ran.out)["record"]["reason"] == "abandoned"
    assert lab.show("refs/planner/interrupted/0001:value") == "42\n"
    assert [iteration.phase for iteration in list_iterations(lab.repo)] == ["recorded"]
    sound(lab)


def test_what_has_a_result_or_does_not_exist_is_refused(lab: Lab) -> None:
    campaign(lab)
    attempt(lab, "echo 90 >value")
    ran = lab.run("git-iterate", "abandon", "1", "--json")
    assert (ran.status, json.loads(ran.out)["code"]) == (2, "E_USAGE")
    assert "git record reject" in json.loads(ran.out)["hint"]
    assert json.loads(lab.run("git-iterate", "abandon", "7", "--json").out)["code"] == "E_UNKNOWN_REF"


def test_an_iteration_that_is_being_worked_on_is_not_given_up(lab: Lab) -> None:
    campaign(lab)
    started = lab.root / "started"
    agent(lab, f'touch "{started}"; sleep 60 & wait')
    process = lab.start("git-iterate")
    wait_for(started)
    ran = lab.run("git-iterate", "abandon", "1", "--json")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert json.loads(ran.out)["code"] == "E_BUSY"
