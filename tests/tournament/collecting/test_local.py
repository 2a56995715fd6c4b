"""Local variants: agents on this host, whose programs live on, and which are never paid twice."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from git_planner.config.settings import read_settings
from git_planner.flows.runs import store
from git_planner.flows.runs.store import Run
from git_planner.flows.tournament.run_store import RunStore
from git_planner.flows.tournament.sources.local import LocalSource
from git_planner.gitio.repository import open_repository
from git_planner.rules.tournament.source import FINAL, PollResult
from tests.support.lab import Lab
from tests.support.small_campaign import agent, campaign, hush
from tests.support.sweeps import sampled

COUNT = 'echo "$GIT_PLANNER_VARIANT" >>"{log}"; echo 9$GIT_PLANNER_VARIANT >value'


def source(lab: Lab, parallel: int = 4) -> LocalSource:
    """Return the source of the run 'speed'."""
    repo = open_repository(lab.path)
    view = RunStore(repo, "speed").read()
    settings = read_settings(repo, environ=lab.env, implementer="command")
    return LocalSource(repo, view.run, settings, hush, parallel)


def new_run(lab: Lab, script: str, attempts: int = 2) -> Path:
    """Create a run of local variants whose agent is a script; return the log that it writes to."""
    campaign(lab)
    log = lab.root / "agent.log"
    agent(lab, script.format(log=log))
    words = ("--prompt", "make it faster", "--run", "speed", "--best-of", str(attempts))
    assert lab.run("git-bo4", "new", *words).status == 0
    return log


def polled(local: LocalSource, state: str, seconds: float = 90) -> PollResult:
    """Poll until all variants have ended; assert the state of the task."""
    result = ended(local, seconds)
    assert result.state == state, result
    return result


def ended(local: LocalSource, seconds: float = 90) -> PollResult:
    """Poll until all variants have ended."""
    deadline = time.monotonic() + seconds
    while True:
        result = local.poll("task")
        if all(variant.state in FINAL for variant in result.variants):
            return result
        assert time.monotonic() < deadline, result
        time.sleep(0.1)


def reserve(lab: Lab, local: LocalSource, number: int = 1) -> Run:
    """Reserve the run of a variant, as a poll does before it starts the program."""
    run = local._reserve(number)
    assert run is not None
    return run


def runs(lab: Lab) -> list[Run]:
    """Return the runs here."""
    return store.list_runs(open_repository(lab.path))


def test_each_variant_is_made_by_a_program_of_its_own(lab: Lab) -> None:
    log = new_run(lab, COUNT)
    local = source(lab)
    result = polled(local, "ready")
    assert [variant.state for variant in result.variants] == ["ready", "ready"]
    assert sorted(log.read_text().split()) == ["1", "2"]
    for number in (1, 2):
        commit = local.fetch("task", number).commit
        assert lab.git("rev-parse", f"bo4/speed/v{number}") == commit
        assert lab.show(f"{commit}:value") == f"9{number}\n"
        assert lab.git("rev-parse", f"{commit}^") == lab.git("rev-parse", "main")
        trailers = lab.git("log", "-1", "--format=%(trailers:key=Planner-Tournament,valueonly)", str(commit))
        assert trailers.strip() == "speed"
    assert lab.git("worktree", "list").count("\n") == 0
    assert "speed/v1" in lab.run("git-plan", "runs").out


def test_the_program_of_a_variant_outlives_the_poll(lab: Lab) -> None:
    log = new_run(lab, f"sleep 1; {COUNT}", attempts=1)
    assert source(lab).poll("task").state == "working"
    # Another process polls from now on.
    polled(source(lab), "ready")
    assert log.read_text().split() == ["1"]


@sampled(19, whole=7)
def test_a_program_that_is_killed_anywhere_pays_its_agent_once(tmp_path: Path, stride: int) -> None:
    call, turn = 1, 0
    while True:
        root = tmp_path / f"lab{call}"
        root.mkdir()
        lab = Lab(root)
        log = new_run(lab, COUNT, attempts=1)
        local = source(lab)
        run = reserve(lab, local)
        env = lab.crash_after(call, after=bool(turn % 2))
        killed = lab.spawn("git-bo4", "variant-program", run.run, **env)
        if killed.status == 0:
            assert turn > 1, "nothing was killed"
            return
        (variant,) = ended(local).variants
        assert log.read_text().split() == ["1"]
        begun = killed.status != 0 and variant.state == "failed"
        assert (variant.reported if begun else "done") in ("agent_failed", "done")
        if not begun:
            assert lab.show("bo4/speed/v1:value") == "91\n"
        call, turn = call + stride, turn + 1


def test_a_program_that_is_killed_before_its_agent_begins_is_started_again(lab: Lab) -> None:
    log = new_run(lab, COUNT, attempts=1)
    local = source(lab)
    reserve(lab, local)
    polled(local, "ready")
    assert log.read_text().split() == ["1"]
    assert [run.attempt for run in runs(lab)] == [2]


def test_an_agent_that_is_killed_with_its_program_is_told_and_not_started_again(lab: Lab) -> None:
    log = new_run(lab, COUNT + "; sleep 60", attempts=1)
    local = source(lab)
    local.poll("task")
    deadline = time.monotonic() + 60
    while not log.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (run,) = runs(lab)
    assert run.process is not None
    os.kill(run.process.pid, signal.SIGKILL)
    result = polled(local, "failed")
    assert result.variants[0].reported == "agent_failed"
    assert log.read_text().split() == ["1"]
    (run,) = runs(lab)
    assert run.reason == "its program was killed while its agent worked"
    assert lab.show(f"{run.kept}:value") == "91\n"


def test_changes_that_may_not_be_are_kept_aside(lab: Lab) -> None:
    new_run(lab, "echo x >tests/test_it; echo 90 >value", attempts=1)
    local = source(lab)
    polled(local, "failed")
    (run,) = runs(lab)
    assert (run.outcome, run.error) == ("refused", "E_GUARD")
    assert lab.git("rev-parse", "bo4/speed/v1") == lab.git("rev-parse", "main")
    assert lab.show(f"{run.kept}:value") == "90\n"


def test_two_polls_at_once_start_each_agent_once(lab: Lab) -> None:
    log = new_run(lab, COUNT)
    first, second = source(lab), source(lab)
    ours = reserve(lab, first)
    assert second._reserve(1) is None
    polled(second, "ready")
    assert sorted(log.read_text().split()) == ["1", "2"]
    ended = {run.run: run.outcome for run in runs(lab)}
    assert sorted(ended.values()) == ["done", "done", "stale"]
    assert ended[ours.run] == "done"


def test_no_more_agents_work_at_once_than_allowed(lab: Lab) -> None:
    new_run(lab, f"sleep 0.3; {COUNT}", attempts=3)
    local = source(lab, parallel=1)
    states = [variant.state for variant in local.poll("task").variants]
    assert states == ["working", "pending", "pending"]
    assert [variant.state for variant in polled(local, "ready").variants] == ["ready"] * 3


def test_agents_models_and_prompts_are_used_in_turn(lab: Lab) -> None:
    campaign(lab)
    extra = lab.root / "extra.md"
    extra.write_text("Try loops.\n")
    words = ("--agent", "command", "--agent", "codex:some-model:high", "--variant-prompt", str(extra))
    ran = lab.run("git-bo4", "new", "--prompt", "x", "--run", "speed", *words, "--json")
    assert json.loads(ran.out)["run"]["source"] == {
        "kind": "local",
        "agents": [
            {"agent": "command", "model": None, "effort": None},
            {"agent": "codex", "model": "some-model", "effort": "high"},
        ],
        "prompts": ["Try loops.\n"],
    }
    agent(lab, 'cat >"$GIT_PLANNER_RUN_PROMPT" 2>/dev/null; echo 1 >value')
    local = source(lab)
    assert [reserve(lab, local, number).model for number in (1, 2, 3)] == [None, "some-model", None]


def test_watch_and_harvest_of_local_variants(lab: Lab) -> None:
    new_run(lab, COUNT + '; [ "$GIT_PLANNER_VARIANT" != 2 ] || exit 7', attempts=3)
    lab.git("config", "planner.implementer", "command")
    watched = lab.run("git-bo4", "watch", "speed")
    assert watched.status == 0, watched.err
    harvested = lab.run("git-bo4", "harvest", "speed", "--json")
    assert harvested.status == 0, harvested.err
    rows = json.loads(harvested.out)["variants"]
    assert [row["state"] for row in rows] == ["harvested", "failed", "harvested"]
    assert [row["branch"] for row in rows] == ["bo4/speed/v1", None, "bo4/speed/v3"]
    assert [row["agent"]["agent"] for row in rows] == ["command"] * 3
    assert "status 7" in rows[1]["note"]
    assert rows[0]["commit"] == lab.git("rev-parse", "bo4/speed/v1")
    assert (rows[0]["files"], rows[0]["added"], rows[0]["removed"]) == (1, 1, 1)
