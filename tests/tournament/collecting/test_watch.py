"""Watching a service: its words, its faults, deadlines, interruptions."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.tournament.collecting.watch import WatchTimes, watch
from git_planner.flows.tournament.collecting.watch_journal import WatchJournal
from git_planner.flows.tournament.run_store import RunChange, RunStore
from git_planner.rules.tournament.event import EventDraft
from git_planner.rules.tournament.run import Stage
from tests.support.lab import Lab, command_line
from tests.support.small_campaign import hush
from tests.support.sweeps import sampled
from tests.tournament.collecting.cloud_case import (
    RUN,
    SleepingClock,
    cloud_run,
    codes,
    row,
    serve,
    states,
    view,
    watched,
)

WORKING = [row(1, "in_progress"), row(2, "pending")]


def test_a_task_is_started_and_watched_until_it_is_ready(lab: Lab) -> None:
    calls = serve(lab, ["pending", "In Progress", "ready"], [row(1), row(2, "failed"), row(4, "completed")])
    cloud_run(lab, sent=True)
    with lab.undisturbed():
        assert watched(lab, SleepingClock()).run.task_id == "task_1"
    assert states(lab) == {1: "ready", 2: "failed", 3: "failed", 4: "ready"}
    assert view(lab).variant(3).note == "the source has no variant of this number"
    assert (lab.root / "tasks.json.prompt").read_text() == "make it faster\n"
    assert calls.read_text().splitlines()[1] == "new --env demo --base main --best-of 4"
    expected = ["RUN_NEW", "WATCH_START", "WATCH_STATUS", "WATCH_STATUS", "WATCH_STATUS", "WATCH_READY"]
    assert codes(lab) == expected
    tip = lab.git("rev-parse", "bo4/speed/run")
    ran = lab.run("git-bo4", "watch", "--json")
    assert json.loads(ran.out)["run"]["stages"]["watch"]["message"] == "2 ready, 2 failed"
    assert lab.git("rev-parse", "bo4/speed/run") == tip
    assert len(calls.read_text().splitlines()) == 8


@pytest.mark.parametrize(
    ("word", "variants", "code"),
    [
        ("applied", [row(1)], None),
        ("COMPLETED", [row(1), row(2, "Cancelled")], None),
        ("failed", [row(1, "failed")], "E_NO_VARIANT"),
        ("Cancelled", [], "E_NO_VARIANT"),
        ("error", [row(1, "error")], "E_NO_VARIANT"),
        ("error", [row(1, "error"), row(2)], None),
        ("!denied", [], "E_CODEX_AUTH"),
        ("!gone", [], "E_CLOUD_TASK"),
    ],
)
def test_how_a_task_ends(lab: Lab, word: str, variants: list[dict[str, object]], code: str | None) -> None:
    serve(lab, ["pending", word], variants)
    cloud_run(lab)
    clock = SleepingClock()
    if code is None:
        assert watched(lab, clock).run.is_done("watch")
        assert codes(lab)[-1] == "WATCH_READY"
    else:
        with pytest.raises(PlannerError) as caught:
            watched(lab, clock)
        assert caught.value.code == code
        assert codes(lab)[-1] == "WATCH_ERROR"
        stage = view(lab).run.stage("watch")
        assert stage is not None
        assert stage.outcome == "failed"


def test_a_day_of_heartbeats_is_a_hundred_commits(lab: Lab) -> None:
    serve(lab, ["pending"], WORKING)
    cloud_run(lab)
    clock = SleepingClock()
    minutes = 30
    with pytest.raises(PlannerError) as caught:
        watched(lab, clock, seconds=minutes * 60)
    assert caught.value.code == "E_DEADLINE"
    assert sum(clock.pauses) == minutes * 60
    assert clock.pauses[:4] == [5.0, 7.5, 11.25, 16.875]
    assert max(clock.pauses) == 60
    noted = codes(lab)
    assert noted[-1] == "WATCH_TIMEOUT"
    assert noted.count("WATCH_HEARTBEAT") >= minutes - 6
    commits = int(lab.git("rev-list", "--count", "main..bo4/speed/run"))
    assert commits <= minutes / 15 + 4


def test_an_hour_of_faults_is_waited_out(lab: Lab) -> None:
    faults = ["!500"] * 10 + ["!429"] * 3 + ["!garbled"] * 3
    serve(lab, ["pending", *faults, "ready"], [row(1)])
    cloud_run(lab)
    clock = SleepingClock()
    assert watched(lab, clock).run.is_done("watch")
    assert sum(clock.pauses) > 3600
    noted = codes(lab)
    assert noted.count("WATCH_COMMAND_ERROR") == 13
    assert noted.count("WATCH_PARSE_ERROR") == 3


def test_words_that_nobody_knows_are_reported_until_the_deadline(lab: Lab) -> None:
    serve(lab, ["marinating"], [row(1, "completed"), row(2, "half\x1b[31m-baked")])
    cloud_run(lab)
    clock = SleepingClock()
    ended = watched(lab, clock, seconds=600)
    assert states(lab) == {1: "ready", 2: "failed"}
    assert ended.variant(2).reported == "half\x1b[31m-baked"
    assert ended.variant(2).note == "not ready at the deadline"
    assert codes(lab)[-2:] == ["WATCH_TIMEOUT", "WATCH_READY"]
    assert "\x1b" not in lab.run("git-bo4", "status").out


def test_a_forgotten_task_is_missed_for_a_while_first(lab: Lab) -> None:
    serve(lab, ["pending", "!gone", "!gone", "pending", *["!gone"] * 99], WORKING)
    cloud_run(lab)
    clock = SleepingClock()
    with pytest.raises(PlannerError) as caught:
        watched(lab, clock, times=WatchTimes(lost=200))
    assert caught.value.code == "E_CLOUD_TASK"
    assert states(lab) == {1: "failed", 2: "failed"}
    assert 200 <= sum(clock.pauses) < 400


def test_a_prompt_is_never_sent_twice_unasked(lab: Lab) -> None:
    calls = serve(lab, ["ready"], [row(1)])
    cloud_run(lab, sent=True)
    good = lab.env["CODEX_BIN"]
    # The service answers nothing that can be read, after it may have made the task.
    lab.env["CODEX_BIN"] = "sh -c 'case $2 in --help) echo export ;; *) exit 0 ;; esac' x"
    first = lab.run("git-bo4", "watch", "--json")
    assert (first.status, json.loads(first.out)["code"]) == (4, "E_CLOUD_ANSWER")
    lab.env["CODEX_BIN"] = good
    refused = lab.run("git-bo4", "watch", "--json")
    assert (refused.status, json.loads(refused.out)["code"]) == (3, "E_STAGE")
    assert not any(line.startswith("new") for line in calls.read_text().splitlines())
    assert lab.run("git-bo4", "watch", "--task", "task_1").status == 0
    assert view(lab).run.task_id == "task_1"
    other = lab.run("git-bo4", "watch", "--task", "task_2", "--json")
    assert (other.status, json.loads(other.out)["code"]) == (3, "E_STAGE")


LATER, EARLIER = "2100-01-01T00:00:00Z", "2000-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([("task_1", "make it faster\n", LATER), ("task_2", "another", LATER)], "task_1"),
        ([("task_1", "make it faster", LATER), ("task_2", "make it faster", LATER)], None),
        ([("task_1", "make it faster", EARLIER)], None),
        ([("task_1", "make it faster", None)], None),
        ([], None),
    ],
)
def test_a_task_that_was_sent_is_found_by_its_prompt(
    lab: Lab, tasks: list[tuple[str, str, str | None]], expected: str | None
) -> None:
    calls = serve(lab, ["ready"], [row(1)])
    rows = [
        {"id": name, "polls": ["ready"], "variants": [row(1)], "prompt": prompt}
        | ({"updated_at": when} if when else {})
        for name, prompt, when in tasks
    ]
    (lab.root / "tasks.json").write_text(json.dumps({"tasks": rows}))
    cloud_run(lab, sent=True)
    good = lab.env["CODEX_BIN"]
    lab.env["CODEX_BIN"] = "sh -c 'case $2 in --help) echo export ;; *) exit 0 ;; esac' x"
    assert lab.run("git-bo4", "watch").status == 4
    lab.env["CODEX_BIN"] = good
    ran = lab.run("git-bo4", "watch")
    assert ran.status == (0 if expected else 3), ran.err
    assert view(lab).run.task_id == expected
    assert not any(line.startswith("new") for line in calls.read_text().splitlines())


def test_a_login_that_is_missing_can_be_mended(lab: Lab) -> None:
    serve(lab, ["ready"], [row(1)])
    cloud_run(lab, sent=True)
    good = lab.env["CODEX_BIN"]
    lab.env["CODEX_BIN"] = (
        "sh -c 'case $2 in --help) echo export ;; *) echo Not signed in >&2; exit 1 ;; esac' x"
    )
    assert lab.run("git-bo4", "watch").status == 4
    lab.env["CODEX_BIN"] = "no-such-program"
    missing = lab.run("git-bo4", "watch", "--json")
    assert json.loads(missing.out)["code"] == "E_MISSING_TOOL"
    lab.env["CODEX_BIN"] = good
    assert lab.run("git-bo4", "watch").status == 0


@sampled(5)
def test_a_killed_watch_goes_on_and_repeats_no_event(lab: Lab, stride: int) -> None:
    serve(lab, ["ready"], [row(1), row(2)])
    cloud_run(lab)
    runs = 0
    for call in range(6, 80, stride):
        runs += 1
        ran = lab.spawn("git-bo4", "watch", **lab.crash_after(call))
        if ran.status == 0:
            break
    else:
        assert lab.run("git-bo4", "watch").status == 0
    assert runs > 1
    noted = codes(lab)
    assert noted[-1] == "WATCH_READY"
    assert [noted.count(code) for code in ("WATCH_START", "WATCH_READY")] == [1, 1]
    assert noted.count("WATCH_STATUS") == 1
    lab.fsck()


@sampled(7)
def test_a_killed_watch_sends_the_prompt_once(lab: Lab, stride: int) -> None:
    calls = serve(lab, ["ready"], [row(1)])
    cloud_run(lab, sent=True)
    for call in range(5, 80, stride):
        if lab.spawn("git-bo4", "watch", **lab.crash_after(call)).status == 0:
            break
    assert view(lab).run.is_done("watch")
    assert [line[:3] for line in calls.read_text().splitlines()].count("new") == 1
    assert codes(lab).count("WATCH_START") == 1


def test_a_run_of_the_same_name_gets_no_events_of_the_old_one(lab: Lab) -> None:
    serve(lab, ["pending"], WORKING)
    cloud_run(lab)
    with lab.entered():
        first = view(lab).run.uid
    argv = command_line("git-bo4", "watch")
    started = subprocess.Popen(argv, cwd=lab.path, env=lab.env, stdout=-1, stderr=-1)
    until = time.monotonic() + 30
    while "WATCH_STATUS" not in codes(lab) and time.monotonic() < until:
        time.sleep(0.05)
    started.kill()
    started.communicate()
    lab.git("update-ref", "-d", "refs/heads/bo4/speed/run")
    (lab.path / ".git" / "planner" / "tips" / "refs" / "heads" / "bo4" / "speed" / "run").unlink()
    serve(lab, ["ready"], [row(1)])
    assert lab.run("git-bo4", "new", "--run", RUN, "--task", "task_1").status == 0
    watched(lab, SleepingClock())
    assert view(lab).run.uid != first
    assert codes(lab) == ["RUN_NEW", "WATCH_START", "WATCH_STATUS", "WATCH_READY"]


def test_two_watches_at_a_time(lab: Lab) -> None:
    serve(lab, ["pending"], WORKING)
    cloud_run(lab)
    argv = command_line("git-bo4", "watch")
    first = subprocess.Popen(argv, cwd=lab.path, env=lab.env, stdout=-1, stderr=-1)
    try:
        folder = lab.path / ".git" / "planner" / "bo4"
        until = time.monotonic() + 30
        while not list(folder.glob(f"{RUN}-*.watch.ndjson")) and time.monotonic() < until:
            time.sleep(0.02)
        second = lab.run("git-bo4", "watch", "--json")
        assert (second.status, json.loads(second.out)["code"]) == (3, "E_BUSY")
    finally:
        first.kill()
        first.communicate()


def test_another_host_that_sees_the_end_first(lab: Lab) -> None:
    serve(lab, ["pending", "ready"], [row(1)])
    cloud_run(lab)
    clock = SleepingClock()

    def finish(seconds: float) -> None:
        clock.sleep(seconds)
        stage = Stage(1, "done", "0" * 64, "2026-11-30T00:00:00Z", "1 ready")
        ready = EventDraft("GATES_PASS", "WATCH_READY", {"message": "1 ready"}, "2026-11-30T00:00:00Z")
        store.end_stage("watch", stage, RunChange(events=[ready]))

    with lab.entered():
        store = RunStore(lab.repo, RUN)
        ended = watch(lab.repo, RUN, hush, clock=clock, sleep=finish)
    assert ended.run.is_done("watch")
    assert codes(lab).count("WATCH_READY") == 1


def test_a_journal_survives_a_cut_line_and_uses_no_number_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = WatchJournal(path)
    for number in range(3):
        journal.add(
            EventDraft("GATES_WARN", "WATCH_STATUS", {"message": str(number)}, "2026-01-01T00:00:00Z")
        )
    os.truncate(path, path.stat().st_size - 5)
    again = WatchJournal(path)
    assert (again.name, [line.number for line in again.lines]) == (journal.name, [1, 2])
    again.clear(2)
    last = WatchJournal(path)
    last.add(EventDraft("GATES_WARN", "WATCH_STATUS", {}, ""))
    assert [line.number for line in last.lines] == [3]
    path.write_bytes(b"\xff\xfe nonsense")
    assert WatchJournal(path).lines == []
