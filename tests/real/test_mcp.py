"""The MCP server with real clients: codex in a turn, the inspector's command line, and a tokenizer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from git_planner.mcp.tools import TOOLS
from tests.board.session_lab import REPORT, sessions, set_client, wait_until
from tests.delegation.scripted_agent import set_up_lab, task
from tests.real.conftest import Place, fetched
from tests.support.lab import Lab
from tests.support.servers.openai_responses import Turn, codex_home, items, says, serving
from tests.support.workshop import workshop

pytestmark = pytest.mark.real

MOST_TOKENS = 6000


@pytest.fixture
def campaign(place: Place) -> Path:
    """Provide a repository with a policy and no plan yet."""
    lab = place.lab
    if not (lab.path / "src").exists():
        lab.commit("first", {"README.md": "hello\n"})
        workshop(lab)
    return lab.path


def ran(place: Place, *argv: str | Path, status: int = 0, **env: str) -> str:
    """Run a program in the repository, and return what it prints."""
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=place.lab.path,
        env={**place.lab.env, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def calls(number: int, tool: str, **arguments: Any) -> Turn:
    """Return a turn in which the model calls a tool of the server."""
    return items(
        {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": f"c{number}",
            "namespace": "mcp__git_planner",
            "name": tool,
            "arguments": json.dumps(arguments),
        }
    )


def tool_calls(out: str) -> list[dict[str, Any]]:
    """Return the completed tool calls in codex's stream of events."""
    events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    done = [event["item"] for event in events if event["type"] == "item.completed"]
    return [item for item in done if item["type"] == "mcp_tool_call"]


@pytest.mark.parametrize("model", ["gpt-5.5", "some-model"])
def test_codex_calls_the_tools_in_a_turn(place: Place, campaign: Path, codex: Path, model: str) -> None:
    where, plan = {"repo_path": str(campaign)}, model.replace(".", "-")
    home = place.folder / f"codex-{model}"
    turns = (
        calls(1, "task_create", **where, title=f"of {model}", plan=plan, idempotency_key=model),
        calls(2, "tasks_list", **where, plan=plan),
        calls(3, "task_show", **where, task="task_009", plan=plan),
        says("done"),
    )
    with serving(*turns) as server:
        codex_home(home, server.port, model=model)
        ran(place, "git-planner", "mcp", "register", "--approve", CODEX_HOME=str(home))
        required = ("-c", "mcp_servers.git-planner.required=true")
        out = ran(
            place, codex, "exec", "--json", *required, "go on", CODEX_HOME=str(home), STUB_API_KEY="stub-key"
        )
    created, listed, refused = tool_calls(out)
    assert {call["server"] for call in (created, listed, refused)} == {"git-planner"}
    content = [call["result"]["structured_content"] for call in (created, listed, refused)]
    assert "error" not in content[0], content[0]
    assert content[0]["repository"] == {"root": str(campaign), "worktree": str(campaign), "branch": "main"}
    assert [task["title"] for task in content[1]["result"]["tasks"]] == [f"of {model}"]
    assert content[2]["error"]["code"] == "E_UNKNOWN_TASK"
    # What the model is shown.
    shown = server.script.requests[-1]["input"][-1]
    assert "E_UNKNOWN_TASK" in json.dumps(shown)
    assert place.processes() == []


def test_codex_reads_its_file_and_the_plugin(place: Place, campaign: Path, codex: Path) -> None:
    home = place.folder / "codex-files"
    home.mkdir()
    (home / "config.toml").write_text('# mine\nmodel = "gpt-5.5"\n')
    env = {"CODEX_HOME": str(home)}
    ran(place, "git-planner", "mcp", "register", **env)
    (server,) = json.loads(ran(place, codex, "mcp", "list", "--json", **env))
    assert (server["name"], server["enabled"], server["startup_timeout_sec"]) == ("git-planner", True, 30.0)
    assert server["transport"]["args"] == ["mcp", "serve"]
    # codex's own command keeps the table as ours, and the other way round.
    ran(place, codex, "mcp", "add", "other", "--", "true", **env)
    ran(place, "git-planner", "mcp", "unregister", **env)
    (server,) = json.loads(ran(place, codex, "mcp", "list", "--json", **env))
    assert server["name"] == "other"
    assert (home / "config.toml").read_text().startswith("# mine\n")
    ran(place, codex, "mcp", "remove", "other", **env)

    ran(place, "git-planner", "mcp", "plugin")
    ran(place, codex, "plugin", "marketplace", "add", ".", **env)
    ran(place, codex, "plugin", "add", "git-planner@git-planner-local", **env)
    (server,) = json.loads(ran(place, codex, "mcp", "list", "--json", **env))
    assert server["transport"]["command"] == "git-planner"
    place.lab.git("clean", "-qfd", "plugins", ".agents")


def inspect(place: Place, method: str, *words: str, status: int = 0) -> Any:
    """Return what the inspector prints for one request."""
    program = fetched("inspector/node_modules/.bin/mcp-inspector")
    out = ran(
        place, program, "--cli", "git-planner", "mcp", "serve", "--method", method, *words, status=status
    )
    return json.loads(out)


def test_the_inspector_lists_calls_and_reads(place: Place, campaign: Path) -> None:
    listed = inspect(place, "tools/list")["tools"]
    assert [tool["name"] for tool in listed] == list(TOOLS)
    arguments = (f"repo_path={campaign}", "title=Shrink it")
    words = [word for argument in arguments for word in ("--tool-arg", argument)]
    created = inspect(place, "tools/call", "--tool-name", "task_create", *words)
    assert created["structuredContent"]["result"]["task"]["title"] == "Shrink it"
    templates = inspect(place, "resources/templates/list")["resourceTemplates"]
    assert [template["name"] for template in templates] == ["plan", "handoff", "review", "record"]
    address = f"git-planner://plan/default?repo_path={campaign}"
    (content,) = inspect(place, "resources/read", "--uri", address)["contents"]
    assert json.loads(content["text"])["status"]["plan"] == "default"


def test_the_list_of_tools_has_few_tokens(place: Place, campaign: Path) -> None:
    listed = inspect(place, "tools/list")
    text = json.dumps(listed, separators=(",", ":"), ensure_ascii=False)
    module = fetched("tokenizer/node_modules/gpt-tokenizer/cjs/encoding/o200k_base.js")
    code = "console.log(require(process.argv[1]).encode(process.argv[2]).length)"
    tokens = int(ran(place, "node", "-e", code, module, text))
    assert 1000 < tokens <= MOST_TOKENS


def test_a_planner_in_codex_starts_a_worker_that_outlives_it(lab: Lab, place: Place, codex: Path) -> None:
    set_up_lab(lab, ("Make it smaller", "--write-scope", "src/**"))
    set_client(lab, f"sleep 8\necho 90 >src/value\n{REPORT}")
    home, where = place.folder / "codex-planner", {"repo_path": str(lab.path)}
    lab.env |= {"CODEX_HOME": str(home), "STUB_API_KEY": "stub-key"}
    lab.git("config", "planner.codex", str(codex))
    spawn = calls(1, "worker_spawn", **where, task="task_001", backend="headless", client="script")
    with serving(spawn, calls(2, "sessions", **where), says("started")) as server:
        codex_home(home, server.port)
        session = json.loads(
            lab.spawn(
                *("git-plan", "session", "start", "--backend", "headless", "--client", "codex", "--json")
            ).out
        )
        assert session["kind"] == "planner"
        wait_until(lab, lambda: len(server.script.requests) == 3)
        shown = json.dumps(server.script.requests[2]["input"][-2:])
        assert "worker-task_001" in shown
        wait_until(lab, lambda: state_of(lab, "planner") == "ended")
        assert state_of(lab, "worker-task_001") == "running"
    wait_until(lab, lambda: state_of(lab, "worker-task_001") == "ended")
    assert task(lab).status == "agent_done"


def state_of(lab: Lab, name: str) -> str:
    """Return the state of a session."""
    states = [session["state"] for session in sessions(lab) if session["name"] == name]
    return str(states[-1]) if states else "none"
