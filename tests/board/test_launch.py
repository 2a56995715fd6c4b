"""`git planner` without a command, its checks, and `git plan worker prune`."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.board.session_lab import (
    REPORT,
    THREAD,
    kill_session,
    run,
    sessions,
    set_client,
    spawn,
    wait_for,
    wait_until,
)
from tests.delegation.scripted_agent import set_up_lab
from tests.support.lab import Lab

ONE = ("Make it smaller", "--write-scope", "src/**")


@pytest.fixture(autouse=True)
def own_tmux(lab: Lab) -> Iterator[None]:
    """Give the laboratory a tmux server of its own, and end it."""
    lab.env["GIT_PLANNER_TMUX_SOCKET"] = f"git-planner-test-{secrets.token_hex(8)}"
    lab.env["GIT_PLANNER_TERMINAL"] = "tmux"
    yield
    lab.run("git-plan", "shutdown")
    tmux(lab, "kill-server")


def tmux(lab: Lab, *words: str) -> str:
    """Run a command of the laboratory's tmux."""
    return lab.run_program("tmux", "-L", lab.env["GIT_PLANNER_TMUX_SOCKET"], *words).out


def launch(lab: Lab, *words: str, cwd: Path | None = None) -> Any:
    ran = lab.run("git-planner", *words, "--json", cwd=cwd)
    assert ran.status == 0, ran.err
    return json.loads(ran.out)["sessions"]


def test_nothing_is_written_before_the_person_has_agreed(lab: Lab) -> None:
    before = lab.refs()
    ran = lab.run("git-planner")
    assert (ran.status, "(E_USAGE)" in ran.err) == (2, True)
    for line in ("will write a starter policy", "will install the hooks", "will start codex as the planner"):
        assert line in ran.err
    assert lab.refs() == before
    assert not (lab.path / ".git-planner.yml").exists()
    assert sessions(lab) == []


def test_one_command_starts_reuses_and_resumes_the_planner(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, "sleep 600")
    first = launch(lab, "--yes")[0]
    assert (first["name"], first["state"], first["backend"]) == ("planner", "running", "tmux")
    other = lab.root / "linked"
    lab.git("worktree", "add", "-q", str(other))
    assert launch(lab, cwd=other)[0]["session"] == first["session"]
    spawn(lab, backend="tmux")
    run(lab, "suspend")
    resumed = launch(lab)
    assert [item["name"] for item in resumed] == ["planner", "worker-task_001"]
    assert resumed[0]["session"] == first["session"]
    windows = tmux(lab, "list-windows", "-a", "-F", "#{window_name}")
    assert sorted(windows.split()) == ["planner", "worker-task_001"]
    shown = lab.run("git-planner")
    assert (shown.status, "attach-session" in shown.out) == (0, True)


def test_a_planner_that_was_killed_goes_on(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, f"{THREAD.format('p-1')}\nsleep 600")
    first = launch(lab, "--yes")[0]
    wait_for(lab, "thread", "p-1")
    kill_session(lab, first["session"])
    wait_for(lab, "seen", "dead")
    report = json.loads(lab.run("git-planner", "doctor", "--json").out)
    assert "session-dead" in {finding["code"] for finding in report["findings"]}
    again = launch(lab)[0]
    assert (again["session"], again["thread"]) == (first["session"], "p-1")


def test_a_person_is_asked_and_shown_the_planner_and_suspends_by_ctrl_c(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, "echo I am the planner; sleep 600")
    outer = ("tmux", "-L", f"outer-{os.getpid()}", "-f", "/dev/null")
    program = Path(sys.executable).with_name("git-planner")
    env = {**lab.env, "TERM": "xterm"}

    def screen() -> str:
        done = subprocess.run([*outer, "capture-pane", "-p"], env=env, capture_output=True, check=False)
        return done.stdout.decode()

    start = ("new-session", "-d", "-x", "100", "-y", "30", str(program))
    subprocess.run([*outer, *start], cwd=lab.path, env=env, check=True)
    try:
        wait_until(lab, lambda: "go on?" in screen())
        assert "will start script as the planner of 'default', in tmux" in screen()
        assert sessions(lab) == []
        subprocess.run([*outer, "send-keys", "y", "Enter"], env=env, check=True)
        # From within another tmux it attaches to its own.
        wait_until(lab, lambda: "I am the planner" in screen())
        assert "Ctrl-b d leaves" in screen()
        assert sessions(lab)[-1]["state"] == "running"
        subprocess.run([*outer, "send-keys", "C-c"], env=env, check=True)
        wait_until(lab, lambda: "Suspend all sessions" in screen())
        subprocess.run([*outer, "send-keys", "s"], env=env, check=True)
        wait_until(lab, lambda: sessions(lab)[-1]["state"] == "suspended")
    finally:
        subprocess.run([*outer, "kill-server"], env=env, check=False)


def test_prune_removes_finished_worktrees_and_old_runs(lab: Lab) -> None:
    set_up_lab(lab, ONE, ("Another", "--write-scope", "src/**"))
    set_client(lab, f"echo 90 >src/value\n{REPORT}")
    for name in ("task_001", "task_002"):
        spawn(lab, name)
        wait_until(lab, lambda: {item["state"] for item in sessions(lab)} == {"ended"})
    dry = ("worker", "prune", "--keep", "1", "--dry-run")
    wait_until(lab, lambda: len(run(lab, *dry)["runs"]) == 1)
    would = run(lab, *dry)
    done = run(lab, "worker", "prune", "--keep", "1")
    assert ([item["run"] for item in done["runs"]], done["kept_runs"]) == (
        [item["run"] for item in would["runs"]],
        1,
    )
    assert done["runs"][0]["bytes"] > 0
    runs = [path.name for path in (lab.path / ".git" / "planner" / "runs").iterdir() if "T" in path.name]
    assert len(runs) == 1
    # What the plan knows of it stays.
    assert len(sessions(lab)) == 2


def test_a_measurement_waits_while_workers_hold_the_lease(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, "sleep 600")
    lab.env["GIT_PLANNER_MAX_HEAVY_LEASES"] = "1"
    spawn(lab, backend="headless")
    held = run(lab, "lease", "acquire", "--session", "worker-1", "--purpose", "tests")
    recording = lab.start("git-record")
    wait_until(lab, lambda: len(run(lab, "lease", "list")["leases"]) == 2)
    waiting = run(lab, "lease", "list")["leases"][1]
    assert (waiting["purpose"], waiting["granted"]) == ("measure", False)
    run(lab, "lease", "release", held["lease"])
    out, _ = recording.communicate(timeout=60)
    assert recording.returncode == 0, out
    assert run(lab, "lease", "list")["leases"] == []
