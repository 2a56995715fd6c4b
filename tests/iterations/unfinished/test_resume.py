"""Interrupted iterations: killed at every step, by Ctrl-C, in place; and what resume makes of them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.iterations import process_lock
from git_planner.flows.iterations.iterate import IterateOptions, iterate
from git_planner.flows.iterations.unfinished.resume import resume_iteration
from git_planner.flows.planning.list_iterations import list_iterations
from git_planner.flows.records.ledger import read_ledger
from git_planner.rules.refnames import next_number
from tests.support.lab import Lab
from tests.support.signalling import is_running, kill_without_agents, wait_for
from tests.support.small_campaign import agent, attempt, campaign, hush, sound
from tests.support.sweeps import sampled


def interrupt(lab: Lab, script: str, *argv: str, number: int = signal.SIGINT) -> tuple[int, bytes]:
    """Start a real `git iterate`, and interrupt it once its agent has done the script.

    Returns:
        Its exit status, and what it printed on stdout.
    """
    started = lab.root / "started"
    agent(lab, f'{script}; touch "{started}"; sleep 60 & wait')
    process = lab.start("git-iterate", *argv)
    wait_for(started)
    os.kill(process.pid, number)
    out, _ = process.communicate(timeout=120)
    return process.returncode, out


def calls_of_one_iteration(lab: Lab) -> int:
    """How many times one whole iteration starts git."""
    never = 10**6
    ran = lab.spawn("git-iterate", **lab.crash_after(never))
    assert ran.status == 0, ran.err
    return len((lab.root / "crash" / str(never) / "count").read_text())


@sampled(53)
def test_killed_at_every_step_it_can_be_gone_on_with(tmp_path: Path, stride: int) -> None:
    (tmp_path / "count").mkdir()
    counting = Lab(tmp_path / "count")
    campaign(counting)
    agent(counting, "echo 90 >value")
    whole = calls_of_one_iteration(counting)
    assert whole > 30
    for turn, call in enumerate(range(2, whole + 1, stride)):
        root = tmp_path / f"lab{call}"
        root.mkdir()
        lab = Lab(root)
        campaign(lab)
        agent(lab, "echo $(($(cat value) - 10)) >value")
        killed = lab.spawn("git-iterate", **lab.crash_after(call, after=bool(turn % 2)))
        assert killed.status != 0, f"call {call} of {whole} did not kill"
        sound(lab)
        with lab.entered():
            _goes_on(lab, call)


def _goes_on(lab: Lab, call: int) -> None:
    open_ones = [
        iteration
        for iteration in list_iterations(lab.repo)
        if iteration.phase not in ("reserved", "recorded")
    ]
    result = resume_iteration(lab.repo, None, IterateOptions(), hush)
    assert bool(open_ones) == (result.number != 0), call
    assert [
        iteration
        for iteration in list_iterations(lab.repo)
        if iteration.phase not in ("reserved", "recorded")
    ] == []
    after = iterate(lab.repo, IterateOptions(), hush)
    assert after.record.verdict == "improved", (call, after.record)
    values = [record.value for record in read_ledger(lab.repo, "default") if record.kind == "attempt"]
    assert values == [90.0, 80.0][: len(values)], call
    assert lab.show("iter/best:value") == f"{values[-1]:.0f}\n"
    sound(lab)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_agent_and_leaves_it_to_be_resumed(lab: Lab, number: int) -> None:
    campaign(lab)
    script = f'echo 42 >value; sleep 60 & echo $! >"{lab.root}/pid"'
    status, out = interrupt(lab, script, "--slug", "x", "--json", number=number)
    assert status == 128 + number, out
    assert json.loads(out)["hint"] == "git iterate resume 1"
    assert not is_running(int((lab.root / "pid").read_text()))
    agent(lab, "echo 90 >value")
    result = resume_iteration(lab.repo, None, IterateOptions(), hush)
    assert result.record is not None
    assert (result.record.verdict, result.record.value) == ("improved", 90.0)
    assert "resumed after an interruption" in result.record.notes
    assert lab.show("refs/planner/interrupted/0001:value") == "42\n"
    sound(lab)


def test_an_agent_that_outlived_its_owner_is_ended_first(lab: Lab) -> None:
    campaign(lab)
    started = lab.root / "started"
    agent(lab, f'echo 42 >value; echo $$ >"{lab.root}/pid"; touch "{started}"; exec sleep 60')
    process = lab.start("git-iterate")
    wait_for(started)
    kill_without_agents(process.pid)
    process.communicate()
    orphan = int((lab.root / "pid").read_text())
    assert is_running(orphan)
    agent(lab, "echo 90 >value")
    messages: list[str] = []
    result = resume_iteration(lab.repo, 1, IterateOptions(), messages.append)
    assert result.record is not None
    assert result.record.value == 90.0
    assert any(f"{orphan}" in line for line in messages)
    assert not is_running(orphan)


def test_resume_runs_the_implementer_that_the_command_line_named(lab: Lab) -> None:
    campaign(lab)
    policy = (lab.path / ".git-planner.yml").read_text().replace("implementer: command", "implementer: codex")
    lab.commit("another default", {".git-planner.yml": policy})
    interrupt(lab, "true", "--impl", "command")
    agent(lab, "echo 90 >value")
    result = resume_iteration(lab.repo, 1, IterateOptions(), hush)
    assert result.record is not None
    assert (result.record.value, result.record.agents["implementer"]["name"]) == (90.0, "command")


def test_an_iteration_that_is_being_worked_on_is_left_alone(lab: Lab) -> None:
    campaign(lab)
    started = lab.root / "started"
    agent(lab, f'touch "{started}"; sleep 60')
    process = lab.start("git-iterate")
    try:
        wait_for(started)
        with pytest.raises(PlannerError) as caught:
            resume_iteration(lab.repo, 1, IterateOptions(), hush)
        assert (caught.value.code, caught.value.message) == (
            "E_BUSY",
            f"process {process.pid} is working on iteration 1",
        )
        assert resume_iteration(lab.repo, None, IterateOptions(), hush).number == 0
    finally:
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=120)


def test_nothing_to_resume_says_so(lab: Lab) -> None:
    campaign(lab)
    assert resume_iteration(lab.repo, None, IterateOptions(), hush).did == "there is no unfinished iteration"
    attempt(lab, "echo 90 >value")
    assert (
        resume_iteration(lab.repo, 1, IterateOptions(), hush).did
        == "it is done: cost 90 points (-10 against 100)"
    )
    lab.store.reserve("refs/planner/numbers/iter/", next_number)
    assert resume_iteration(lab.repo, 2, IterateOptions(), hush).found == "reserved"
    with pytest.raises(PlannerError) as caught:
        resume_iteration(lab.repo, 9, IterateOptions(), hush)
    assert caught.value.code == "E_UNKNOWN_REF"


def test_in_place_works_here_and_goes_back(lab: Lab) -> None:
    campaign(lab)
    with lab.undisturbed():
        result = attempt(lab, "echo 90 >value; echo x >README.md", slug="x", in_place=True)
    assert result.record.reason == "scope"
    with lab.undisturbed():
        result = attempt(lab, "echo 90 >value", slug="x", in_place=True)
    assert (result.record.verdict, result.worktree) == ("improved", None)
    with lab.undisturbed():
        refused = attempt(lab, "echo 1 >value; echo 1 >tests/test_it; echo n >new", in_place=True)
    assert refused.record.reason == "guard"
    assert lab.show("refs/planner/refused/0003:new") == "n\n"
    lab.git("checkout", "-q", "--detach")
    with lab.undisturbed():
        assert attempt(lab, "exit 1", in_place=True).record.reason == "implementer_failed"


def test_in_place_is_refused_in_a_merge_and_without_a_worktree(lab: Lab) -> None:
    campaign(lab)
    lab.git("checkout", "-q", "-b", "other", "main~1")
    lab.commit("theirs", {"value": "1\n"})
    assert lab.run_git("merge", "main").status != 0
    lab.git("checkout", "main", "--", "value")
    with pytest.raises(PlannerError) as caught:
        attempt(lab, "true", in_place=True)
    assert caught.value.message == f"a merge is in progress in '{lab.path}'"
    bare = lab.root / "bare.git"
    lab.git("clone", "-q", "--bare", str(lab.path), str(bare))
    assert lab.run("git-iterate", "--in-place", cwd=bare).status == 2


def test_in_place_goes_back_after_ctrl_c(lab: Lab) -> None:
    campaign(lab)
    agent(lab, "true")
    with lab.undisturbed():
        assert interrupt(lab, "echo 42 >value", "--in-place")[0] == 130
    assert lab.show("refs/planner/interrupted/0001:value") == "42\n"
    agent(lab, "echo 90 >value")
    result = resume_iteration(lab.repo, None, IterateOptions(), hush)
    assert result.record is not None
    assert result.record.value == 90.0


def test_in_place_keeps_as_much_as_the_policy_allows_after_ctrl_c(lab: Lab) -> None:
    campaign(lab)
    policy = (lab.path / ".git-planner.yml").read_text().replace("scope: {", "scope: {max_new_files: 2, ")
    lab.commit("limit", {".git-planner.yml": policy})
    agent(lab, "true")
    stopped = interrupt(lab, "mkdir notes; touch notes/a notes/b notes/c; echo 42 >value", "--in-place")
    assert stopped[0] == 130
    assert lab.show("refs/planner/interrupted/0001:value") == "42\n"
    assert lab.git("ls-tree", "refs/planner/interrupted/0001", "notes") == ""
    assert sorted(path.name for path in (lab.path / "notes").iterdir()) == ["a", "b", "c"]


def test_a_branch_that_a_person_has_checked_out_is_not_taken_away(lab: Lab) -> None:
    campaign(lab)
    policy = (lab.path / ".git-planner.yml").read_text().replace("[sh,", "[./no-such-program,")
    lab.commit("a broken agent", {".git-planner.yml": policy})
    with pytest.raises(PlannerError):
        iterate(lab.repo, IterateOptions(slug="x"), hush)
    lab.git("worktree", "remove", "--force", str(lab.root / "repo.iter" / "0001-x"))
    lab.worktree("mine", "iter/0001-x")
    (lab.root / "mine" / "value").write_text("8\n")
    with pytest.raises(PlannerError) as caught:
        resume_iteration(lab.repo, 1, IterateOptions(), hush)
    assert caught.value.code == "E_CHECKED_OUT"
    assert (lab.root / "mine" / "value").read_text() == "8\n"


def test_only_one_process_has_an_iteration(lab: Lab) -> None:
    with process_lock.lock_iteration(lab.repo, 7):
        assert process_lock.lock_holder(lab.repo, 7) == os.getpid()
        with pytest.raises(PlannerError) as caught, process_lock.lock_iteration(lab.repo, 7):
            pass
        assert caught.value.code == "E_BUSY"
    assert process_lock.lock_holder(lab.repo, 7) is None


def test_what_lies_in_a_worktree_without_its_link_is_kept(lab: Lab) -> None:
    campaign(lab)
    interrupt(lab, "echo 42 >value; rm .git", "--slug", "x")
    agent(lab, "echo 90 >value")
    result = resume_iteration(lab.repo, None, IterateOptions(), hush)
    assert result.record is not None
    assert (result.record.verdict, result.record.value) == ("improved", 90.0)
    assert lab.show("refs/planner/interrupted/0001:value") == "42\n"
    assert [path.name for path in (lab.root / "repo.iter").iterdir()] == ["0001-x"]
