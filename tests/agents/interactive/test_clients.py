"""Command lines of the clients that sessions run."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.agents.interactive.clients import CLAUDE, CODEX, GEMINI, PRESETS
from git_planner.errors import PlannerError
from git_planner.rules.policy.interactive_client import (
    ClientRequest,
    InteractiveClient,
    McpServer,
    fill,
    toml_string,
)

CWD = "/srv/a 'b'"
MCP = McpServer("git-planner", "git-planner", ("mcp", "a b"), {"KEY": 'v"1'})


def test_codex_in_a_terminal_with_everything() -> None:
    request = ClientRequest(
        CWD,
        prompt="- Do {model} it.",
        model="gpt-5.5",
        effort="high",
        sandbox="read-only",
        approval="on-request",
        writable=("/a", "/b"),
        mcp=MCP,
        program="/opt/codex",
        profile="planner",
    )
    table = 'command="git-planner",args=["mcp","a b"],env={"KEY"="v\\"1"}'
    options = (
        *("-p", "planner", "-m", "gpt-5.5", "-c", 'model_reasoning_effort="high"'),
        *("-s", "read-only", "-c", 'approval_policy="on-request"', "-C", CWD),
        *("--add-dir", "/a", "--add-dir", "/b"),
        "-c",
        f'mcp_servers.git-planner={{{table},required=true,default_tools_approval_mode="approve"}}',
        *("-c", """projects={"/srv/a 'b'"={trust_level="untrusted"}}"""),
    )
    prompt = ("--", "- Do {model} it.")
    assert CODEX.start_argv(request) == ("/opt/codex", "--no-daemon", *options, *prompt)
    assert CODEX.resume_argv("01a2-b", request) == (
        *("/opt/codex", "resume", "--no-daemon", *options),
        *("--", "01a2-b", "- Do {model} it."),
    )
    quiet = ("/opt/codex", "exec", "--json", "--color", "never", *options)
    assert CODEX.headless_argv(request) == (*quiet, *prompt)
    assert CODEX.headless_resume_argv("01a2-b", request) == (
        *quiet,
        *("resume", "--", "01a2-b", "- Do {model} it."),
    )


def test_codex_with_nothing_said_is_confined() -> None:
    least = ("-s", "workspace-write", "-c", 'approval_policy="never"', "-C", "/w")
    restricted = ("-c", 'projects={"/w"={trust_level="untrusted"}}')
    assert CODEX.start_argv(ClientRequest("/w")) == ("codex", "--no-daemon", *least, *restricted)
    saved = ClientRequest("/w", folder="saved")
    assert CODEX.resume_argv("t", saved) == ("codex", "resume", "--no-daemon", *least, "--", "t")


@pytest.mark.parametrize(
    ("request_", "thread", "code"),
    [
        (ClientRequest(CWD, prompt="x" * 100_001), "t", "E_TOO_LARGE"),
        (ClientRequest(CWD, model="-m"), "t", "E_USAGE"),
        (ClientRequest(CWD, effort='high"\n'), "t", "E_USAGE"),
        (ClientRequest(CWD), "--last", "E_USAGE"),
        (ClientRequest(CWD), "", "E_USAGE"),
    ],
)
def test_what_a_command_line_would_misread_is_refused(
    request_: ClientRequest, thread: str, code: str
) -> None:
    with pytest.raises(PlannerError) as refused:
        CODEX.resume_argv(thread, request_)
    assert refused.value.code == code


def test_a_client_says_what_it_cannot_do() -> None:
    with pytest.raises(
        PlannerError, match="the client 'x' has no command to headless resume a session"
    ) as no:
        InteractiveClient("x", "x").headless_resume_argv("t", ClientRequest(CWD))
    assert (no.value.code, no.value.hint) == ("E_AGENT", "name one in the policy: clients.x.headless_resume")


def test_groups_without_a_value_are_left_out_and_lists_are_repeated() -> None:
    parts = ("{program}", ("-m", "{model}"), ("-d={writable}",), "{prompt}", "{other}", ("-x",))
    values = {"program": ("p",), "model": (), "writable": ("a", "{prompt}")}
    assert list(fill(parts, values)) == ["p", "-d=a", "-d={prompt}", "{other}", "-x"]


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_texts_survive_toml(text: str) -> None:
    assert tomllib.loads(f"a={toml_string(text)}") == {"a": text}


def test_mcp_servers_are_read_back_from_json() -> None:
    client = InteractiveClient("x", "x", start=(("--mcp", "{mcp_json}"),))
    _, text = client.start_argv(ClientRequest(CWD, mcp=MCP))
    assert json.loads(text)["mcpServers"]["git-planner"]["args"] == ["mcp", "a b"]


def test_presets_are_named_by_their_clients() -> None:
    assert all(client.name == name and client.start and client.resume for name, client in PRESETS.items())


def test_claude_is_given_its_thread_and_its_server() -> None:
    request = ClientRequest("/w", prompt="- x", effort="low", mcp=MCP, thread="01a2-b", writable=("/a",))
    server = {"command": "git-planner", "args": ["mcp", "a b"], "env": {"KEY": 'v"1'}}
    options = (
        *("--effort", "low", "--permission-mode", "acceptEdits"),
        *("--mcp-config", json.dumps({"mcpServers": {"git-planner": server}})),
        *("--allowedTools", "mcp__git-planner", "--setting-sources", "user", "--strict-mcp-config"),
        *("--", "- x"),
    )
    assert CLAUDE.start_argv(request) == ("claude", "--session-id", "01a2-b", *options)
    assert CLAUDE.resume_argv("t", request) == ("claude", "--resume", "t", *options)
    quiet = ("claude", "-p", "--output-format", "json")
    assert CLAUDE.headless_argv(request) == (*quiet, "--session-id", "01a2-b", *options)
    assert CLAUDE.headless_resume_argv("t", request) == (*quiet, "--resume", "t", *options)
    saved = ClientRequest("/w", sandbox="read-only", folder="saved")
    assert CLAUDE.start_argv(saved) == ("claude", "--permission-mode", "plan")


def test_gemini_takes_a_prompt_that_looks_like_an_option() -> None:
    request = ClientRequest("/w", prompt="- x", model="m", mcp=MCP, thread="01a2-b", writable=("/a", "/b"))
    options = (
        *("-m", "m", "--approval-mode", "auto_edit"),
        *("--include-directories=/a", "--include-directories=/b", "--skip-trust=true"),
    )
    asking = (*options, "--prompt-interactive=- x")
    assert GEMINI.start_argv(request) == ("gemini", "--session-id", "01a2-b", *asking)
    assert GEMINI.resume_argv("t", request) == ("gemini", "--resume", "t", *asking)
    quiet = ("gemini", "-o", "json")
    assert GEMINI.headless_argv(request) == (*quiet, "--session-id", "01a2-b", *options, "--prompt=- x")
    assert GEMINI.headless_resume_argv("t", request) == (*quiet, "--resume", "t", *options, "--prompt=- x")


def test_what_presets_can_do() -> None:
    request = ClientRequest("/w", sandbox="danger-full-access")
    facts = {
        name: (client.chooses_thread, client.takes_mcp, client.threads is not None, client.quit)
        for name, client in PRESETS.items()
    }
    assert facts == {
        "codex": (False, True, True, "/quit"),
        "claude": (True, True, False, "/exit"),
        "gemini": (True, False, False, "/quit"),
    }
    assert {client.sandbox_in_force(request) for client in PRESETS.values()} == {"danger-full-access"}
