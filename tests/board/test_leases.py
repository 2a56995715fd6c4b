"""Leases of a host through the real command, over several repositories and processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from git_planner.errors import PlannerError
from git_planner.host.leases.host_lease import HostLeases
from git_planner.rules.board.admission import without_figures
from git_planner.rules.board.lease import Lease
from tests.board.lease_race import race
from tests.support.lab import Lab, Ran

PROGRAM = "import sys; from git_planner.cli import main; sys.exit(main('git-plan', sys.argv[1:]))"
# What a command under a lease prints before it waits for the end of its input.
HOLD = ("sh", "-c", 'echo "$GIT_PLANNER_LEASE"; exec cat')


@pytest.fixture
def folder(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the leases of the laboratory, for this process, too."""
    monkeypatch.setenv("XDG_STATE_HOME", lab.env["XDG_STATE_HOME"])
    return HostLeases().folder


def ask(lab: Lab, session: str, *options: str) -> Ran:
    return lab.run("git-plan", "lease", "acquire", "--purpose", "tests", "--session", session, *options)


def held(lab: Lab) -> list[str]:
    """Return the owners of the granted leases."""
    document = json.loads(lab.run("git-plan", "lease", "list", "--json").out)
    return [lease["session"] or lease["purpose"] for lease in document["leases"] if lease["granted"]]


def start(lab: Lab, purpose: str, *command: str) -> subprocess.Popen[str]:
    """Start a real `git plan lease run`."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "lease", "run", "--purpose", purpose, "--", *command],
        cwd=lab.path,
        env=lab.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def first_line(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


def test_one_lease_is_shared_by_all_repositories_of_a_host(lab: Lab, tmp_path: Path) -> None:
    lab.git("config", "--global", "planner.maxHeavyLeases", "1")
    granted = json.loads(ask(lab, "worker-1", "--json").out)
    other = lab.clone("other")
    waits = ask(other, "worker-2", "--json")
    document = json.loads(waits.out)
    assert (granted["granted"], waits.status, document["granted"], document["queue_position"]) == (
        True, 1, False, 1,
    )  # fmt: skip
    assert document["retry_after_seconds"] == 15
    assert ask(lab, "worker-1").status == 0
    assert lab.run("git-plan", "lease", "release", granted["lease"]).status == 0
    assert json.loads(ask(other, "worker-2", "--json").out)["lease"] == document["lease"]
    assert held(lab) == ["worker-2"]


def test_a_command_runs_under_a_lease_that_ends_with_it(lab: Lab) -> None:
    out = lab.root / "out"
    script = f'echo "$GIT_PLANNER_LEASE $GIT_PLANNER_LEASE_TOKEN" > {out}; exit 7'
    assert lab.run("git-plan", "lease", "run", "--purpose", "p", "--", "sh", "-c", script).status == 7
    name, token = out.read_text().split()
    assert (name.startswith("HEAVY-"), int(token) > 0, held(lab)) == (True, True, [])


def test_a_program_that_is_missing_takes_no_place_in_the_queue(lab: Lab) -> None:
    ask(lab, "holder")
    missing = lab.run("git-plan", "lease", "run", "--purpose", "p", "--", "no-such-program")
    assert (missing.status, "E_MISSING_TOOL" in missing.err) == (4, True)
    assert held(lab) == ["holder"]


def test_who_is_not_granted_a_lease_in_time_leaves_the_queue(lab: Lab) -> None:
    lab.git("config", "planner.maxHeavyLeases", "1")
    ask(lab, "holder")
    late = lab.run("git-plan", "lease", "run", "--purpose", "p", "--wait", "0.01", "--", "true")
    assert (late.status, "(E_DEADLINE)" in late.err) == (124, True)
    assert len(json.loads(lab.run("git-plan", "lease", "list", "--json").out)["leases"]) == 1


def test_a_killed_program_leaves_its_lease_to_its_command(lab: Lab) -> None:
    program = start(lab, "build", *HOLD)
    name = first_line(program)
    program.kill()
    program.wait()
    # The command still runs, and still holds the lease.
    assert held(lab) == ["build"]
    assert program.stdin is not None
    program.stdin.close()
    # Its output ends with it.
    assert program.stdout is not None
    assert program.stdout.read() == ""
    assert held(lab) == []
    gone = lab.run("git-plan", "lease", "renew", name)
    assert (gone.status, "(E_LEASE)" in gone.err) == (1, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_command_and_the_lease_is_released(lab: Lab, number: int) -> None:
    script = (
        f"import signal, sys; signal.signal({int(number)}, lambda *_: sys.exit(9)); "
        "print('ready', flush=True); signal.pause()"
    )
    program = start(lab, "build", sys.executable, "-c", script)
    assert first_line(program) == "ready"
    children = psutil.Process(program.pid).children()
    program.send_signal(number)
    if number == signal.SIGINT:
        # A terminal sends it to both.
        children[0].send_signal(number)
    assert program.wait() == 9
    assert held(lab) == []


def test_the_lease_of_an_ended_process_is_lost(lab: Lab) -> None:
    owner = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    options = ("--purpose", "tests", "--pid", str(owner.pid))
    assert lab.run("git-plan", "lease", "acquire", *options).status == 0
    assert len(held(lab)) == 1
    owner.communicate()
    assert held(lab) == []


def test_a_lease_needs_an_owner_and_plain_texts(lab: Lab) -> None:
    for options in (
        ("--purpose", "p"),
        ("--purpose", "p", "--pid", str(2**22 + 5)),
        ("--purpose", "a\x1b[2J", "--session", "s"),
        ("--purpose", "p", "--session", "two\nlines"),
        ("--purpose", "p" * 500, "--session", "s"),
        ("--purpose", "p", "--session", "s", "--ttl", "nan"),
    ):
        refused = lab.run("git-plan", "lease", "acquire", *options)
        assert (refused.status, "(E_USAGE)" in refused.err) == (2, True), options
    assert held(lab) == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b'{"leases": [{}]}', b"\xff"])
def test_a_damaged_book_is_named_and_kept(lab: Lab, folder: Path, content: bytes) -> None:
    ask(lab, "holder")
    (folder / "book.json").write_bytes(content)
    for command in (("list",), ("acquire", "--purpose", "p", "--session", "s")):
        refused = lab.run("git-plan", "lease", *command)
        assert (refused.status, "book.json" in refused.err, "(E_LEASE)" in refused.err) == (1, True, True)
    assert (folder / "book.json").read_bytes() == content


def test_a_pipe_in_place_of_the_book_hangs_nobody(lab: Lab, folder: Path) -> None:
    ask(lab, "holder")
    (folder / "book.json").unlink()
    os.mkfifo(folder / "book.json")
    assert "(E_LEASE)" in lab.run("git-plan", "lease", "list").err


def test_who_stops_in_the_middle_of_a_change_is_named(folder: Path) -> None:
    import fcntl

    folder.mkdir(parents=True)
    with open(folder / "book.lock", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(PlannerError, match="another process has been changing the leases"):
            HostLeases(folder, lock_seconds=0.02).renew("HEAVY-1")


def test_leases_of_long_gone_boots_are_removed(folder: Path) -> None:
    old, recent = (folder.parent / name for name in ("0" * 16, "1" * 16))
    for boot in (old, recent):
        (boot / "owners").mkdir(parents=True)
    os.utime(old, (0, 0))
    lease = Lease(name="", kind="heavy", purpose="p", session="s", ttl=9)
    assert HostLeases().ask(lease, 1, lambda: None).answer.lease.is_granted
    assert (old.exists(), recent.exists()) == (False, True)


def test_resources_say_what_would_be_admitted_and_why_not(lab: Lab) -> None:
    lab.git("config", "planner.maxHeavyLeases", "1")
    admitted = json.loads(lab.run("git-plan", "resources", "--json").out)
    assert (admitted["heavy"]["admitted"], admitted["heavy"]["limit"]) == (True, 1)
    lab.git("config", "planner.minMemAvailableGb", "99999")
    refused = json.loads(lab.run("git-plan", "resources", "--json").out)
    # Workers inherit what is not set for them.
    for kind in ("heavy", "spawn"):
        assert (refused[kind]["admitted"], "99999 are required" in refused[kind]["reason"]) == (False, True)
    lab.git("config", "planner.workerSpawnMinMemAvailableGb", "0.001")
    shown = lab.run("git-plan", "resources").out
    assert "heavy work: not now: " in shown
    assert "worker launch: allowed" in shown
    assert ask(lab, "w").status == 1


def test_settings_of_leases_are_checked(lab: Lab) -> None:
    for key in ("planner.maxHeavyLeases", "planner.maxLoadavg1", "planner.leaseTtlSeconds"):
        lab.git("config", key, "-1")
        refused = lab.run("git-plan", "resources")
        assert (refused.status, key.lower() in refused.err.lower()) == (2, True)
        lab.git("config", "--unset", key)


@pytest.mark.parametrize(
    ("processes", "seconds"),
    [
        pytest.param(6, 1.5, id="short"),
        pytest.param(32, 60.0, id="a minute", marks=[pytest.mark.real, pytest.mark.alone]),
    ],
)
def test_processes_that_fight_for_two_leases(tmp_path: Path, processes: int, seconds: float) -> None:
    grants, killed = race(tmp_path, processes=processes, leases=2, seconds=seconds)
    assert (killed >= processes, len(grants) > processes) == (True, True)
    # At no time more than two hold a lease.
    events = sorted([(grant.began, 1) for grant in grants] + [(grant.ended, -1) for grant in grants])
    holders = 0
    for _, change in events:
        holders += change
        assert holders <= 2
    # Grants follow the order of asking, and nobody starves.
    by_token = sorted(grants, key=lambda grant: grant.token)
    assert [grant.asked for grant in by_token] == sorted(grant.asked for grant in grants)
    assert len({grant.token for grant in grants}) == len(grants)
    assert {grant.worker for grant in grants} == set(range(processes))


@pytest.mark.parametrize(
    ("reason", "next_reason", "is_same"),
    [
        ("the last one was granted 0.5 seconds ago", "the last one was granted 0.7 seconds ago", True),
        ("the load average is 3.10, the limit 2", "the load average is 3.15, the limit 2", True),
        ("2 wait before it", "1 wait before it", False),
        ("1 wait before it", "the only lease of its kind is held", False),
    ],
)
def test_a_reason_is_another_one_by_its_words(reason: str, next_reason: str, is_same: bool) -> None:
    assert (without_figures(reason) == without_figures(next_reason)) == is_same


def test_who_waits_is_told_once(lab: Lab) -> None:
    assert ask(lab, "one", "--spawn").status == 0
    granted = json.loads(lab.run("git-plan", "lease", "list", "--json").out)["leases"][0]["lease"]
    assert lab.run("git-plan", "lease", "release", granted).status == 0
    # Granted 2 seconds after the last one; until then the reason names other seconds each time.
    ran = ask(lab, "two", "--spawn", "--wait", "60")
    assert (ran.status, ran.err.count("waiting for a lease")) == (0, 1), ran.err
