"""Sessions of workers and planners in real terminals; their client is a shell script."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.board.sessions.session_store import find_session, save_session
from git_planner.flows.runs.store import save_run
from git_planner.host import agent_jail
from git_planner.host.jail import Jail
from tests.board.session_lab import (
    ASK,
    REPORT,
    THREAD,
    kill_session,
    run,
    sessions,
    set_client,
    spawn,
    tell,
    wait_for,
    wait_until,
)
from tests.board.stored_run import new_run, session_of
from tests.delegation.scripted_agent import set_up_lab, task
from tests.support.lab import Lab, Ran
from tests.support.servers.tmux import end_server

HERE = agent_jail.find("auto", os.environ["PATH"])
ONE = ("Make it smaller", "--write-scope", "src/**")
# Begins a thread; works only when it goes on with one.
SLOW = f"""
{THREAD.format("t-1")}
if [ -n "$thread" ]; then echo "$thread" >src/value; {REPORT}; fi
sleep 600
"""


@pytest.fixture(autouse=True)
def own_tmux(lab: Lab) -> Iterator[None]:
    """Give the laboratory a tmux server of its own, and end it."""
    socket = f"git-planner-test-{secrets.token_hex(8)}"
    lab.env["GIT_PLANNER_TMUX_SOCKET"] = socket
    yield
    end_server(socket)


@pytest.mark.parametrize("backend", ["tmux", "headless"])
def test_a_worker_in_a_terminal_does_its_task(lab: Lab, backend: str) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, f"echo 90 >src/value\n{REPORT}\nsleep 600")
    started = spawn(lab, backend=backend)
    assert (started["name"], started["state"]) == ("worker-task_001", "running")
    ended = wait_for(lab, "state", "ended")
    assert ended["outcome"] == "done", ended
    assert task(lab).status == "agent_done"
    assert lab.show(f"{ended['branch']}:src/value") == "90\n"
    kept = run(lab, "session", "prompt", "task_001")["prompt"]
    assert "## Task task_001: Make it smaller" in kept
    assert "worker-task_001" in kept
    committed = f"plan/default:.plans/default/sessions/{ended['session']}.json"
    wait_until(lab, lambda: '"state": "ended"' in lab.show(committed))


@pytest.mark.parametrize("backend", ["tmux", "headless"])
def test_a_suspended_worker_goes_on_in_its_worktree_with_its_thread(lab: Lab, backend: str) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, f"echo 1 >>src/begun\n{SLOW}")
    started = spawn(lab, backend=backend)
    suspended = run(lab, "suspend")["sessions"]
    assert [item["state"] for item in suspended] == ["suspended"]
    assert task(lab).status == "in_progress"
    claimed = lab.run("git-plan", "task", "claim", "task_001")
    assert (claimed.status, "(E_BUSY)" in claimed.err) == (3, True)
    tell(lab, "sync")
    assert task(lab).status == "in_progress"
    resumed = run(lab, "resume")["sessions"]
    assert [item["session"] for item in resumed] == [started["session"]]
    ended = wait_for(lab, "state", "ended")
    assert (ended["outcome"], ended["thread"]) == ("done", "t-1")
    assert lab.show(f"{ended['branch']}:src/value") == "t-1\n"
    assert lab.show(f"{ended['branch']}:src/begun") == "1\n1\n"


def test_a_worker_whose_processes_are_killed_is_suspended_and_goes_on(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, SLOW)
    started = spawn(lab)
    wait_for(lab, "thread", "t-1")
    kill_session(lab, started["session"])
    assert wait_for(lab, "seen", "dead")["state"] == "running"
    resumed = spawn(lab)
    assert resumed["session"] == started["session"]
    assert wait_for(lab, "state", "ended")["outcome"] == "done"


def test_sync_suspends_the_worker_of_a_dead_session(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, SLOW)
    started = spawn(lab)
    kill_session(lab, started["session"])
    wait_for(lab, "seen", "dead")
    tell(lab, "sync")
    assert task(lab).status == "in_progress"
    assert "git plan resume" in tell(lab, "inbox")
    assert [item["state"] for item in run(lab, "shutdown")["sessions"]] == ["ended"]
    assert task(lab).status == "todo"


def test_a_closed_worker_puts_its_task_back_and_keeps_what_it_did(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, "echo 77 >src/value; sleep 600")
    spawn(lab)
    closed = run(lab, "worker", "close", "task_001")
    assert (closed["state"], closed["outcome"]) == ("ended", "interrupted")
    assert task(lab).status == "todo"
    assert lab.show("refs/planner/refused/0001:src/value") == "77\n"
    assert run(lab, "worker", "close", "task_001")["state"] == "ended"


def test_a_question_is_answered_and_the_thread_goes_on(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    answered = f"echo 5 >src/value; {REPORT}"
    set_client(
        lab, f'{THREAD.format("t-9")}\nif [ -n "$thread" ]; then {answered}; else {ASK}; fi; sleep 600'
    )
    spawn(lab)
    waiting = wait_for(lab, "state", "needs_input")
    assert (waiting["thread"], task(lab).status) == ("t-9", "needs_input")
    assert lab.run("git-plan", "worker", "spawn", "task_001").status == 3
    tell(lab, "task", "answer", "task_001", "the left one")
    tell(lab, "task", "resume", "task_001")
    assert spawn(lab)["continues"] == waiting["session"]
    assert wait_for(lab, "state", "ended")["outcome"] == "done"
    assert [item["state"] for item in sessions(lab)] == ["ended", "ended"]


def test_shutdown_closes_everything(lab: Lab) -> None:
    set_up_lab(lab, ONE, ("Another", "--write-scope", "docs/**"))
    set_client(lab, "sleep 600")
    spawn(lab)
    spawn(lab, "task_002")
    run(lab, "suspend")
    spawn(lab, "task_002")
    closed = run(lab, "shutdown")["sessions"]
    assert [item["state"] for item in closed] == ["ended", "ended"]
    assert {task(lab, name).status for name in ("task_001", "task_002")} == {"todo"}
    assert run(lab, "shutdown")["sessions"] == []


@pytest.mark.parametrize("backend", ["tmux", "headless"])
def test_a_client_that_fails_at_once_is_told(lab: Lab, backend: str) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, "echo the service is gone >&2; exit 7")
    spawn(lab, backend=backend)
    ended = wait_for(lab, "state", "ended")
    assert (ended["outcome"], "status 7" in ended["reason"]) == ("agent_failed", True)
    assert "the service is gone" in ended["reason"]


def test_a_client_that_is_not_there_is_told_before_anything_is_written(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    before = lab.refs()
    ran = lab.run("git-plan", "worker", "spawn", "task_001", "--client", "codex", "--backend", "headless")
    assert (ran.status, "(E_MISSING_TOOL)" in ran.err) == (4, True), ran.err
    assert lab.refs() == before


def test_the_planner_goes_on_with_its_thread(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, f'{THREAD.format("p-1")}\necho "$thread" >>"{lab.root}/seen"; sleep 600')
    first = run(lab, "session", "start", "--backend", "tmux")
    assert run(lab, "session", "start")["session"] == first["session"]
    assert "Make it smaller" in run(lab, "session", "prompt", "planner")["prompt"]
    wait_for(lab, "thread", "p-1")
    shown = lab.run("git-plan", "session", "attach")
    assert (shown.status, "attach-session" in shown.out) == (0, True)
    planner = run(lab, "runs")["planners"][0]
    assert (planner["session"], planner["seen"], planner["thread"]) == (first["session"], "alive", "p-1")
    assert f"{first['session']}  alive  default planner  script since" in tell(lab, "runs")
    assert run(lab, "runs", "--run", first["session"])["planners"][0] == planner
    refused = lab.run("git-plan", "runs", "--end", "--run", first["session"])
    assert (refused.status, "git plan session close planner" in refused.err) == (3, True), refused.err
    assert run(lab, "session", "close", "planner")["state"] == "ended"
    assert tell(lab, "runs").startswith(f"{first['session']}  ended, closed  default planner")
    second = run(lab, "session", "start", "--backend", "tmux")
    assert second["continues"] == first["session"]
    run(lab, "suspend")
    assert run(lab, "resume")["sessions"][0]["session"] == second["session"]
    run(lab, "shutdown")
    assert (lab.root / "seen").read_text() == "\np-1\np-1\n"


@pytest.mark.skipif(not isinstance(HERE, Jail), reason="there is no jail here")
def test_a_worker_in_its_jail_takes_a_lease_and_reports(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    policy = (lab.path / ".git-planner.yml").read_text()
    lab.commit("a jail", {".git-planner.yml": policy.replace("sandbox: off", "sandbox: required")})
    program = Path(sys.executable).with_name("git-plan")
    lease = f"{program} lease run --purpose tests -- sh -c 'echo $GIT_PLANNER_LEASE >src/value'"
    set_client(
        lab,
        f"{lease} && ! touch ../outside 2>/dev/null && {REPORT.replace('git-plan', str(program))}; sleep 600",
    )
    spawn(lab, backend="tmux")
    ended = wait_for(lab, "state", "ended")
    assert ended["outcome"] == "done", ended
    assert lab.show(f"{ended['branch']}:src/value").startswith("HEAVY-")


def test_a_name_without_a_plan_means_that_of_the_current_plan(lab: Lab) -> None:
    set_up_lab(lab, ONE, (*ONE, "--plan", "other"))
    set_client(lab, "sleep 600")
    here = spawn(lab, "task_001", "tmux")
    there = spawn(lab, "task_001", "tmux", "--plan", "other")
    assert here["name"] == there["name"] == "worker-task_001"

    def attached(*words: str, current: str) -> str:
        lab.git("config", "planner.plan", current)
        ran = lab.run("git-plan", "session", "attach", "task_001", *words)
        return ran.out.split()[-1] if ran.status == 0 else ran.err

    first, second = attached(current="default"), attached(current="other")
    assert first != second
    assert attached("--plan", "other", current="default") == second
    assert attached("--plan", "default", current="third") == first
    assert "several plans have a session 'task_001': default, other" in attached(current="third")
    run(lab, "shutdown")


def test_a_client_that_asks_in_its_terminal_is_listed_as_waiting(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(
        lab, f"printf 'A new model\\n> 1. Try it\\n  2. Stay\\nEnter to go on'; read x; clear; {REPORT}; cat"
    )
    lab.git("config", "planner.heartbeat", "1")
    session = spawn(lab, backend="tmux")
    assert session["asking_since"] is None
    wait_until(lab, lambda: sessions(lab)[-1]["asking_since"])
    assert "running, waits for an answer in its terminal" in tell(lab, "session", "list")
    item = run(lab, "inbox")["items"][-1]
    attach = "git plan session attach worker-task_001 --plan default"
    assert (item["kind"], item["subject"], item["command"]) == ("question", "worker-task_001", attach)
    assert item["text"] == "script waits for an answer in its terminal"
    once = lab.run("git-planner", "top", "--once", "--json")
    assert [line["state"] for line in json.loads(once.out)["runs"]] == ["asks"]
    assert item in json.loads(once.out)["inbox"]
    lab.run_program(
        "tmux", "-L", lab.env["GIT_PLANNER_TMUX_SOCKET"], "send-keys", "-t", "worker-task_001", "Enter"
    )
    wait_for(lab, "state", "ended")
    assert run(lab, "inbox")["items"][-1]["kind"] == "review"


def test_a_tmux_server_that_dies_suspends_its_sessions(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, SLOW)
    spawn(lab, backend="tmux")
    wait_for(lab, "thread", "t-1")
    lab.run_program("tmux", "-L", lab.env["GIT_PLANNER_TMUX_SOCKET"], "kill-server")
    wait_for(lab, "state", "suspended")
    resumed = spawn(lab, backend="tmux")
    assert resumed["state"] == "running"
    assert wait_for(lab, "state", "ended")["outcome"] == "done"


def test_what_a_task_holds_reaches_a_terminal_without_control_characters(lab: Lab) -> None:
    set_up_lab(lab, (*ONE, "--note", "look\x1b]0;owned\x07 \x1b[2J here\u202e"))
    set_client(lab, f"echo 90 >src/value\n{REPORT}\nsleep 600")
    spawn(lab)
    wait_for(lab, "state", "ended")
    kept = run(lab, "session", "prompt", "task_001")["prompt"]
    assert "look" in kept
    assert all(letter.isprintable() or letter in "\n\t" for letter in kept)


def without_jinja(lab: Lab, *argv: str) -> Ran:
    """Run a command in a Python that has no Jinja2."""
    hidden = "import sys; sys.modules['jinja2'] = None; from git_planner import cli; "
    code = f"{hidden}sys.exit(cli.main(sys.argv[1], sys.argv[2:]))"
    return lab.run_program(sys.executable, "-c", code, *argv)


def test_a_launch_without_its_client_or_the_extra_writes_nothing(lab: Lab) -> None:
    lab.git("rm", "-q", "--ignore-unmatch", ".git-planner.yml")
    lab.git("commit", "-qm", "no policy", "--allow-empty")
    lab.env["GIT_PLANNER_CODEX"] = "no-such-codex"
    with lab.undisturbed():
        asking = lab.run("git-planner")
        assert f"socket '{lab.env['GIT_PLANNER_TMUX_SOCKET']}'" in asking.err
        assert "'no-such-codex' is not on PATH (E_MISSING_TOOL)" in lab.run("git-planner", "--yes").err
    with lab.undisturbed():
        missing = without_jinja(lab, "git-planner", "--yes")
    assert "(E_MISSING_EXTRA)" in missing.err


def test_a_worker_without_the_extra_takes_no_task(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, "sleep 600")
    with lab.undisturbed():
        missing = without_jinja(lab, "git-plan", "worker", "spawn", "task_001", "--backend", "headless")
    assert (missing.status, "pip install 'git-planner[board]'" in missing.err) == (4, True)


def test_a_name_that_several_plans_have_means_the_current_plan(lab: Lab) -> None:
    runs = [new_run(number) for number in (1, 2)]
    with lab.entered():
        for run, plan in zip(runs, ("first", "second"), strict=True):
            stored = session_of(save_run(lab.repo, run))
            one = replace(stored.session, name="worker-task_001", plan=plan)
            save_session(lab.repo, replace(stored, session=one), publish=False)
        with pytest.raises(
            PlannerError, match="several plans have a session 'worker-task_001': first, second"
        ):
            find_session(lab.repo, "worker-task_001")
        assert find_session(lab.repo, "worker-task_001", "second").session.plan == "second"
        lab.git("config", "planner.plan", "first")
        assert find_session(lab.repo, "worker-task_001").session.plan == "first"


def test_the_output_of_a_client_without_a_terminal_is_bounded(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, f"head -c 40000000 /dev/zero | tr '\\0' x; echo 90 >src/value; {REPORT}")
    started = spawn(lab)
    wait_for(lab, "state", "ended")
    log = lab.path / ".git" / "planner" / "runs" / started["session"] / "terminal.log"
    assert 1_000_000 < log.stat().st_size < 20_000_000
    assert task(lab).status == "agent_done"


def test_ended_sessions_do_not_hide_the_others(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_client(lab, "sleep 600")
    for _ in range(12):
        spawn(lab)
        run(lab, "worker", "close", "task_001")
    lines = tell(lab, "session", "list").splitlines()
    assert (len(lines), lines[-1]) == (11, "and 2 that ended earlier; '--all' lists them")
    assert len(tell(lab, "session", "list", "--all").splitlines()) == 12
