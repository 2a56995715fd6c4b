"""The real codex in a window of tmux: started, asked, resumed by its thread, and ended, as sessions do it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from git_planner.agents.interactive.clients import CODEX
from git_planner.agents.interactive.threads import find_thread
from git_planner.agents.interactive.trust_prompt import answer_trust_prompt
from git_planner.host import process
from git_planner.host.process_identity import living_pids
from git_planner.host.terminals.terminal import Terminal
from git_planner.rules.policy.interactive_client import ClientRequest, McpServer
from tests.support.lab import Lab
from tests.support.servers.openai_responses import codex_home, items, says, serving
from tests.support.servers.tmux import Tmux
from tests.support.waiting import holds_in_time

pytestmark = pytest.mark.real

# Asks about its upgrade at the start of an older model.
MODEL = "gpt-6-sol"
MCP_SCRIPT = """
import json, sys
for line in sys.stdin:
    call = json.loads(line)
    open(sys.argv[1], "a").write(call["method"] + "\\n")
    if "id" in call:
        tool = {"name": "note", "description": "Note.", "inputSchema": {"type": "object"}}
        result = {
            "initialize": {
                "protocolVersion": call.get("params", {}).get("protocolVersion"),
                "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"},
            },
            "tools/list": {"tools": [tool]},
            "tools/call": {"content": [{"type": "text", "text": "noted"}]},
        }[call["method"]]
        print(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": result}), flush=True)
"""
CALL = items(
    {
        "type": "custom_tool_call",
        "id": "ct_1",
        "call_id": "c1",
        "name": "exec",
        "input": "text(await tools.mcp__git_planner__note({}))",
    }
)


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="git-planner-codex-", dir="/var/tmp"))
    yield folder
    assert [entry for entry in psutil.process_iter() if _home_of(entry) == str(folder)] == []
    shutil.rmtree(folder)


def _home_of(entry: psutil.Process) -> str | None:
    try:
        return entry.environ().get("CODEX_HOME")
    except psutil.Error:
        return None


@pytest.fixture
def worktree(lab: Lab) -> Path:
    """A linked worktree whose own settings for codex run a program."""
    folder = lab.root / "a b-worktrees" / "task_001"
    lab.git("worktree", "add", "-q", str(folder))
    (folder / ".codex").mkdir()
    mark = json.dumps(str(lab.root / "RAN"))
    (folder / ".codex" / "config.toml").write_text(f'[mcp_servers.evil]\ncommand="touch"\nargs=[{mark}]\n')
    return folder


def test_a_session_of_codex(lab: Lab, worktree: Path, home: Path, codex: Path) -> None:
    env = {**os.environ, "CODEX_HOME": str(home), "STUB_API_KEY": "stub-key"}
    log = lab.root / "mcp.log"
    server = McpServer("git-planner", sys.executable, ("-c", MCP_SCRIPT, str(log)), {"A": "b"})
    request = ClientRequest(
        str(worktree), prompt="- Run r-1: begin.", model=MODEL, mcp=server, program=str(codex)
    )
    turns = (CALL, says("First answer."))
    with serving(*turns, says("A later answer."), again=True) as stub, Tmux(lab.root) as tmux:
        codex_home(home, stub.port)
        settings = (home / "config.toml").read_text()

        def run(argv: tuple[str, ...]) -> Terminal:
            terminal = tmux.backend.start("task_001", argv, cwd=worktree, env=env, group="g", log=log)
            assert answer_trust_prompt(tmux.backend, terminal, CODEX.trust, 30.0), tmux.screen(terminal)
            return terminal

        since = time.time()
        terminal = run(CODEX.start_argv(request))
        assert holds_in_time(lambda: "First answer." in tmux.screen(terminal)), tmux.screen(terminal)
        assert "- Run r-1: begin." in stub.script.prompts()[0]
        assert log.read_text().split() == [
            *("initialize", "notifications/initialized", "tools/list", "tools/call")
        ]
        thread = find_thread(CODEX.threads, env, cwd=worktree, since=since, marker="r-1")
        assert thread is not None
        tmux.backend.send(terminal, "/quit")
        assert holds_in_time(lambda: tmux.backend.sight(terminal) == "gone", CODEX.quit_seconds)
        assert terminal.process is not None
        assert holds_in_time(lambda: living_pids(terminal.process) == [])

        terminal = run(CODEX.resume_argv(thread, replace(request, prompt="Go on.")))
        assert holds_in_time(lambda: "A later answer." in tmux.screen(terminal)), tmux.screen(terminal)
        assert "First answer." in tmux.screen(terminal)
        asked = next(prompt for prompt in stub.script.prompts() if "Go on." in prompt)
        assert "- Run r-1: begin." in asked
        assert find_thread(CODEX.threads, env, cwd=worktree, since=since, marker="r-1") == thread
        tmux.backend.end(terminal)
        assert tmux.backend.sight(terminal) == "gone"

        argv = CODEX.headless_resume_argv(thread, replace(request, prompt="More."))
        done = process.run(argv, cwd=worktree, seconds=60, env=env)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert events[0] == {"type": "thread.started", "thread_id": thread}
        assert events[-1]["type"] == "turn.completed"
        assert not (lab.root / "RAN").exists()
        # Nothing was written into a person's configuration but codex's own notes.
        assert (home / "config.toml").read_text().startswith(settings.rstrip())
        assert "trust_level" not in (home / "config.toml").read_text()
