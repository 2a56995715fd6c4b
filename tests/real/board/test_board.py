"""The board with the real codex in tmux: a planner starts workers, answers one, and integrates both."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.board.session_lab import run, sessions, tell, wait_until
from tests.delegation.scripted_agent import POLICY, task
from tests.real.conftest import Place, temporary_place
from tests.support.lab import Lab
from tests.support.servers import loopback
from tests.support.servers.openai_responses import Handler, Turn, codex_home, items, says

pytestmark = pytest.mark.real

MODEL = "gpt-6-sol"
SOCKET = f"git-planner-real-{secrets.token_hex(8)}"
Reply = Callable[[str], Turn]


def executes(script: str) -> Turn:
    """Return a turn in which the model runs a script with codex's tools."""
    call = {"type": "custom_tool_call", "id": "ct_1", "call_id": "c1", "name": "exec", "input": script}
    return items(call)


def shell(command: str) -> Turn:
    """Return a turn in which the model runs a shell command."""
    return executes(f"text(await tools.exec_command({json.dumps({'cmd': command})}))")


@dataclass
class Cast:
    """Turns of several conversations; each is known by a text of its prompt. An unknown one is told so."""

    parts: dict[str, list[Reply]]
    requests: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, request: dict[str, Any], _key: str) -> Turn:
        """Return the next turn of the conversation that a request belongs to."""
        text = json.dumps(request.get("input", ""))
        with self._lock:
            self.requests.append(text)
            for marker, replies in self.parts.items():
                if marker in text:
                    return replies.pop(0)(text) if replies else says("I have nothing left to do.")
        return says("I do not know who I am.")


def reports(status: str, *words: str, before: str = "true") -> Reply:
    """Return the reply of a worker that reports a result, by the command of the last prompt it was given."""

    def reply(text: str) -> Turn:
        calls = re.findall(r"(\S+git-plan) task result (task_[0-9]+) --run ([0-9TZ]+-[a-z0-9]+)", text)
        program, name, run_id = calls[-1]
        arguments = " ".join(f"'{word}'" if " " in word else word for word in words)
        return shell(f"{before} && {program} task result {name} --run {run_id} --status {status} {arguments}")

    return reply


@pytest.fixture
def place() -> Iterator[Place]:
    """Provide a folder for each test."""
    with temporary_place() as folder:
        yield folder


@pytest.fixture
def board(place: Place, codex: Path) -> Iterator[Lab]:
    """A repository with a policy and codex as the client of sessions, on a tmux server of its own."""
    lab = place.lab
    lab.env |= {
        "GIT_PLANNER_CODEX": str(codex),
        "GIT_PLANNER_CODEX_HOME": str(place.folder / "home"),
        "GIT_PLANNER_PLANNER_MODEL": MODEL,
        "GIT_PLANNER_WORKER_MODEL": MODEL,
        "GIT_PLANNER_TERMINAL": "tmux",
        "STUB_API_KEY": "stub-key",
        "GIT_PLANNER_TMUX_SOCKET": SOCKET,
    }
    policy = POLICY.format(agent="/bin/true", timeout=20)
    lab.commit("the bench", {".git-planner.yml": policy, "src/value": "100\n", "tests/test_it": "guarded\n"})
    yield lab
    lab.run("git-plan", "shutdown")
    lab.run_program("tmux", "-L", SOCKET, "kill-server")


def serving(place: Place, parts: dict[str, list[Reply]]) -> Any:
    """Return a server that plays the conversations, once codex's home names it."""
    return loopback.running(Cast(parts), Handler)


def calls_tool(tool: str, **arguments: Any) -> Callable[[str], Turn]:
    """Return the reply of a planner that calls one of our tools, and shows what it returned."""

    def reply(text: str) -> Turn:
        folder = re.findall(r"'repo_path' in every call: (\S+?)\.? ", text)[-1].rstrip(".")
        call = json.dumps({"repo_path": folder, **arguments})
        return executes(f"text(JSON.stringify(await tools.mcp__git_planner__{tool}({call})))")

    return reply


def types(lab: Lab, text: str) -> None:
    """Type a text into the planner's window, as the operator."""
    tmux = ("tmux", "-L", SOCKET)
    pane = lab.run_program(*tmux, "list-windows", "-a", "-F", "#{window_name} #{window_id}").out
    window = next(line.split()[1] for line in pane.splitlines() if line.startswith("planner "))
    lab.run_program(*tmux, "send-keys", "-t", window, "-l", text)
    time.sleep(0.3)
    lab.run_program(*tmux, "send-keys", "-t", window, "Enter")


def screen(lab: Lab) -> str:
    """Return what the planner's window shows."""
    tmux = ("tmux", "-L", SOCKET)
    return lab.run_program(*tmux, "capture-pane", "-p", "-t", "planner").out


def shows(lab: Lab, text: str, seconds: float = 90) -> None:
    """Wait until the planner's window shows a text."""
    deadline = time.monotonic() + seconds
    while text not in screen(lab):
        assert time.monotonic() < deadline, screen(lab)
        time.sleep(0.2)


def three_tasks(lab: Lab) -> list[str]:
    """Add three tasks, one of which is cancelled; return the ids of the other two."""
    names = []
    for number, name in enumerate(("one", "two", "three"), 1):
        words = ("--write-scope", f"src/{name}", "--verify", f"grep -q {number} src/{name}")
        names.append(run(lab, "task", "add", f"Write {name}", *words)["task"]["id"])
    tell(lab, "task", "cancel", names.pop(), "--reason", "later")
    return names


def test_a_planner_and_two_workers_from_the_first_command_to_the_end(board: Lab, place: Place) -> None:
    three_tasks(board)
    planner: list[Reply] = [
        calls_tool("worker_spawn", task="task_001"),
        calls_tool("worker_spawn", task="task_002"),
        lambda _: says("Both workers are at work."),
        calls_tool("inbox"),
        lambda _: says("The second worker asks: left or right?"),
        calls_tool("task_update", task="task_002", action="answer", answer="the left one"),
        calls_tool("task_update", task="task_002", action="resume"),
        calls_tool("worker_spawn", task="task_002"),
        lambda _: says("I have passed your answer on."),
        calls_tool("worker_integrate"),
        lambda _: says("I am bringing both together."),
    ]
    first: list[Reply] = [
        reports("done", "--summary", "wrote it", before="echo 1 >src/one"),
        lambda _: says("It is done."),
    ]
    second: list[Reply] = [
        reports("needs_input", "--summary", "unsure", "--question", "left or right?"),
        lambda _: says("I asked."),
        reports("done", "--summary", "wrote it", before="echo 2 >src/two"),
        lambda _: says("It is done, too."),
    ]
    parts = {"You are the planner of the plan": planner, "worker-task_001": first, "worker-task_002": second}
    with serving(place, parts) as server:
        codex_home(place.folder / "home", server.port, model=MODEL)
        launched = board.run("git-planner", "--yes")
        assert launched.status == 0, launched.err
        assert "attach-session" in launched.out
        shows(board, "Both workers are at work.")
        wait_until(board, lambda: task(board, "task_002").status == "needs_input")
        types(board, "What waits for me?")
        shows(board, "asks: left or right?")
        types(board, "The left one.")
        shows(board, "passed your answer on.")
        finished = ("agent_done", "done")
        wait_until(board, lambda: all(task(board, f"task_00{n}").status in finished for n in (1, 2)))
        types(board, "Bring it together.")
        shows(board, "bringing both together.")
        wait_until(board, lambda: {task(board, f"task_00{n}").status for n in (1, 2)} == {"done"})
        assert (board.show("main:src/one"), board.show("main:src/two")) == ("1\n", "2\n")
        conversation = [item for item in sessions(board) if item["name"] == "worker-task_002"]
        assert len({item["thread"] for item in conversation}) == 1
        closed = run(board, "shutdown")["sessions"]
    assert [item["name"] for item in closed] == ["planner"]
    assert {item["state"] for item in sessions(board)} == {"ended"}
    assert "no server running" in board.run_program("tmux", "-L", SOCKET, "list-sessions").err


def kill_everything(place: Place) -> None:
    """Kill every process of the laboratory and its tmux server, as the end of the machine would."""
    server = place.lab.run_program("tmux", "-L", SOCKET, "display-message", "-p", "#{pid}").out.strip()
    pids = [int(server)]
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("HOME", "").startswith(str(place.folder)) and process.pid != os.getpid():
                pids.append(process.pid)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(board, lambda: not any(map(psutil.pid_exists, pids)))


def after_restart(place: Place, *argv: str) -> None:
    """Run a program as after a restart of the machine: it and all that it starts see another boot id."""
    boot = place.folder / "boot_id"
    if not boot.exists():
        boot.write_text(f"{uuid.uuid4()}\n")
    script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
    command = ("unshare", "--mount", "sh", "-c", script, str(boot), *argv)
    done = subprocess.run(
        command, cwd=place.lab.path, env=place.lab.env, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("restarted", [False, True], ids=["killed", "restarted"])
def test_everything_is_killed_in_the_middle_and_goes_on(board: Lab, place: Place, restarted: bool) -> None:
    if restarted and os.geteuid() != 0:
        pytest.skip("only root can show another boot id to a program")
    tasks = three_tasks(board)
    planner: list[Reply] = [
        *(calls_tool("worker_spawn", task=name) for name in tasks),
        lambda _: says("Both workers are at work."),
        lambda _: says("I am back."),
    ]
    # Each is killed while its first command runs, and does its work when it goes on.
    parts: dict[str, list[Reply]] = {"You are the planner of the plan": planner}
    for number, name in enumerate(tasks, 1):
        work = f"echo {number} >src/{('one', 'two')[number - 1]}"
        parts[f"worker-{name}"] = [
            lambda _: shell("sleep 100"),
            reports("done", "--summary", "wrote it", before=work),
            lambda _: says("It is done."),
        ]
    with serving(place, parts) as server:
        codex_home(place.folder / "home", server.port, model=MODEL)
        assert board.run("git-planner", "--yes").status == 0
        shows(board, "Both workers are at work.")
        wait_until(board, lambda: all(item["thread"] for item in sessions(board)[-3:]))
        threads = {item["name"]: item["thread"] for item in sessions(board)[-3:]}
        kill_everything(place)
        program = str(Path(sys.executable).with_name("git-planner"))
        if restarted:
            after_restart(place, program, "--yes")
        else:
            assert board.run("git-planner").status == 0
        shows(board, "I am back.")
        finished = ("agent_done", "done")
        wait_until(board, lambda: all(task(board, name).status in finished for name in tasks))
        again = {item["name"]: item["thread"] for item in sessions(board)[-3:]}
        assert again == threads
        tell(board, "worker", "integrate")
        assert {task(board, name).status for name in tasks} == {"done"}
        if restarted:
            after_restart(place, str(Path(sys.executable).with_name("git-plan")), "shutdown")
        else:
            tell(board, "shutdown")
    assert board.run_program("tmux", "-L", SOCKET, "list-sessions").status != 0
