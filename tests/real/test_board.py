"""The board with the real codex in tmux: a planner starts workers, answers one, and integrates both."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.board.session_lab import run, sessions, tell, wait_until
from tests.delegation.scripted_agent import POLICY, task
from tests.real.conftest import Place
from tests.support.lab import Lab
from tests.support.servers import loopback
from tests.support.servers.openai_responses import Handler, Turn, codex_home, items, says

pytestmark = pytest.mark.real

MODEL = "gpt-6-sol"
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
        "TMUX_TMPDIR": str(place.folder),
    }
    policy = POLICY.format(agent="/bin/true", timeout=20)
    lab.commit("the bench", {".git-planner.yml": policy, "src/value": "100\n", "tests/test_it": "guarded\n"})
    yield lab
    lab.run("git-plan", "shutdown")
    lab.run_program("tmux", "-L", "git-planner", "kill-server")


def serving(place: Place, parts: dict[str, list[Reply]]) -> Any:
    """Return a server that plays the conversations, once codex's home names it."""
    return loopback.running(Cast(parts), Handler)


def test_a_worker_in_a_window_does_its_task(board: Lab, place: Place) -> None:
    tell(board, "task", "add", "Write one", "--write-scope", "src/**", "--verify", "grep -q 1 src/one")
    replies: list[Reply] = [
        reports("done", "--summary", "wrote it", before="echo 1 >src/one"),
        lambda _: says("It is done."),
    ]
    with serving(place, {"worker-task_001": replies}) as server:
        codex_home(place.folder / "home", server.port, model=MODEL)
        started = run(board, "worker", "spawn", "task_001")
        assert started["state"] == "running"
        wait_until(lambda: sessions(board)[-1]["state"] == "ended", 60)
        ended = sessions(board)[-1]
    assert ended["outcome"] == "done", (ended, server.script.requests)
    assert ended["thread"]
    assert board.show(f"{task(board).branch}:src/one") == "1\n"
    tell(board, "worker", "integrate")
    assert (board.show("main:src/one"), task(board).status) == ("1\n", "done")
