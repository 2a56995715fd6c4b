"""Sessions in a laboratory: their client is a shell script, their tmux server is the laboratory's own."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.delegation.scripted_agent import RESULT_COMMAND
from tests.support import waiting
from tests.support.lab import Lab

# A client that keeps its thread as the clients do: in a file with its folder and its prompt.
THREAD = """mkdir -p ~/threads
printf '{{"id": "{}", "cwd": "%s", "prompt": "%s"}}' "$PWD" "$2" | tr '\\n' ' ' >~/threads/$$.json
"""
REPORT = f"{RESULT_COMMAND} --status done --summary 'did it'"
ASK = f"{RESULT_COMMAND} --status needs_input --summary stuck --question 'which?'"


def set_client(lab: Lab, script: str) -> None:
    """Let sessions run a script: its first argument is the thread to go on with, its second the prompt."""
    path = lab.root / "client.sh"
    path.write_text(f"thread=$1\n{script}\n")
    start, resume = ["sh", str(path), "", "{prompt}"], ["sh", str(path), "{thread}", "{prompt}"]
    description = {
        "name": "script",
        "start": start,
        "resume": resume,
        "headless": start,
        "headless_resume": resume,
        "asks": [["1[.] Try it", "Enter to go on"]],
        "thread": {"files": ["~/threads/*.json"], "id": '"id": "([a-z0-9-]+)"'},
    }
    policy = (lab.path / ".git-planner.yml").read_text().partition("clients:")[0]
    lab.commit("a client", {".git-planner.yml": f"{policy}clients: {json.dumps([description])}\n"})
    lab.git("config", "planner.sessionClient", "script")


def run(lab: Lab, *words: str, status: int = 0) -> Any:
    """Run a command of `git plan` and return its document."""
    ran = lab.run("git-plan", *words, "--json")
    assert ran.status == status, (ran.out, ran.err)
    return json.loads(ran.out)


def tell(lab: Lab, *words: str) -> str:
    """Run a command of `git plan` that must succeed, and return its output."""
    ran = lab.run("git-plan", *words)
    assert ran.status == 0, ran.err
    return ran.out


def spawn(lab: Lab, task: str = "task_001", backend: str = "headless", *words: str) -> Any:
    """Start a worker on a task."""
    return run(lab, "worker", "spawn", task, "--backend", backend, *words)


def sessions(lab: Lab) -> list[Any]:
    """Return the listed sessions, oldest first."""
    listed: list[Any] = run(lab, "session", "list")["sessions"]
    return listed


def wait_for(lab: Lab, field: str, value: Any) -> Any:
    """Wait until a field of the newest session has a value; return the session."""
    newest: list[Any] = []

    def has_value() -> bool:
        newest[:] = sessions(lab)[-1:]
        return bool(newest) and newest[0][field] == value

    wait_until(lab, has_value)
    return newest[0]


def wait_until(lab: Lab, condition: Callable[[], object]) -> None:
    """Wait until something is the case; a failure shows what the board has instead."""
    waiting.wait_until(condition, lambda: board_text(lab))


def board_text(lab: Lab) -> str:
    """Return what there is to see of a laboratory's sessions: tasks, runs, files and last lines."""
    texts = [lab.run("git-plan", *words).out for words in (("session", "list"), ("task", "list"), ("runs",))]
    for folder in sorted((lab.path / ".git" / "planner" / "runs").glob("*T*")):
        for name in ("session.json", "meta.json", "terminal.log"):
            with suppress(OSError):
                texts.append(f"{folder.name}/{name}: {(folder / name).read_text(errors='replace')[-2000:]}")
        texts.append(f"{folder.name}/out: {[path.name for path in folder.glob('out/*')]}")
    return "\n".join(texts)


def kill_session(lab: Lab, session_id: str) -> None:
    """Kill the process of a session and its client, as the end of the machine would."""
    folder = lab.path / ".git" / "planner" / "runs" / session_id
    document = json.loads((folder / "session.json").read_text())
    client = json.loads((folder / "process.json").read_text())
    for pid in (document["process"]["pid"], client["pid"]):
        os.kill(pid, signal.SIGKILL)
