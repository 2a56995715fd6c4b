"""The server over stdio: the protocol's two handshakes, bad input, cancelled calls, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import jsonschema
import mcp_types as types
import psutil
import pytest
from mcp.client.client import Client
from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

from git_planner.mcp.server import describe_tool
from git_planner.mcp.tools import TOOLS
from tests.board.session_lab import ASK, REPORT, THREAD, set_client
from tests.delegation.scripted_agent import set_up_lab
from tests.support.lab import Lab, command_line
from tests.support.signalling import is_running
from tests.support.waiting import HANG_SECONDS, wait_until
from tests.support.workshop import workshop

ARGV = command_line("git-planner", "mcp")


def parameters(lab: Lab) -> StdioServerParameters:
    return StdioServerParameters(command=ARGV[0], args=ARGV[1:], cwd=lab.path, env=lab.env)


def in_session(lab: Lab, act: Callable[[ClientSession], Awaitable[None]]) -> None:
    """Act as a client with the handshake of before 2026."""

    async def run() -> None:
        async with (
            stdio_client(parameters(lab)) as (source, sink),
            ClientSession(source, sink) as session,
        ):
            await session.initialize()
            await act(session)

    lab.state = None
    anyio.run(run)


class Raw:
    """A server whose stdin and stdout the test writes and reads."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def ask(self, identity: object, method: str, **params: Any) -> None:
        self.send(json.dumps({"jsonrpc": "2.0", "id": identity, "method": method, "params": params}).encode())

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        document: dict[str, Any] = json.loads(self.process.stdout.readline())
        return document

    def initialise(self) -> None:
        client = {"name": "test", "version": "1"}
        self.ask(0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
        assert self.answer()["result"]["protocolVersion"] == "2025-06-18"
        self.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')

    def end(self) -> tuple[int, str]:
        """Close stdin; return the exit status and what was printed on stderr."""
        out, err = self.process.communicate(timeout=HANG_SECONDS)
        assert out == b""
        return self.process.returncode, err.decode()


@contextlib.contextmanager
def raw_server(lab: Lab) -> Iterator[Raw]:
    process = subprocess.Popen(
        ARGV, cwd=lab.path, env=lab.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield Raw(process)
    finally:
        process.kill()
        process.communicate()


def test_a_client_lists_and_calls_tools_and_reads_resources(lab: Lab) -> None:
    workshop(lab)

    async def act(session: ClientSession) -> None:
        tools = (await session.list_tools()).tools
        assert [tool.name for tool in tools] == list(TOOLS)
        for tool in tools:
            jsonschema.Draft202012Validator.check_schema(tool.input_schema)
            assert tool.output_schema is not None
            jsonschema.Draft202012Validator.check_schema(tool.output_schema)
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint == (
                "idempotency_key" not in tool.input_schema["properties"]
            )
        where = {"repo_path": str(lab.path)}
        created = await session.call_tool("task_create", {**where, "title": "Shrink it"})
        assert (created.is_error, created.structured_content["repository"]["branch"]) == (False, "main")
        shown: Any = created.content[0]
        assert json.loads(shown.text) == created.structured_content["result"]
        refused = await session.call_tool("task_show", {**where, "task": "task_002"})
        text: Any = refused.content[0]
        assert refused.is_error
        assert text.text.startswith(
            "error: the plan 'default' has no task 'task_002' (E_UNKNOWN_TASK)\nhint: "
        )
        (plan,) = (await session.list_resources()).resources
        assert plan.name == "default"
        content: Any = (await session.read_resource(plan.uri)).contents[0]
        assert json.loads(content.text)["tasks"]["tasks"][0]["title"] == "Shrink it"
        templates = (await session.list_resource_templates()).resource_templates
        assert [template.name for template in templates] == ["plan", "handoff", "review", "record"]
        with pytest.raises(MCPError, match="E_USAGE"):
            await session.read_resource("git-planner://nothing/x")

    in_session(lab, act)


def test_the_protocol_of_2026_needs_no_handshake(lab: Lab) -> None:
    workshop(lab)

    async def run() -> None:
        async with Client(stdio_client(parameters(lab))) as client:
            assert client.protocol_version == types.LATEST_PROTOCOL_VERSION == "2026-07-28"
            listed = await client.call_tool("plan", {"repo_path": str(lab.path), "action": "list"})
            assert listed.structured_content["result"]["current"] == "default"

    lab.state = None
    anyio.run(run)


def test_calls_run_side_by_side(lab: Lab) -> None:
    workshop(lab)

    async def act(session: ClientSession) -> None:
        async def create(number: int) -> None:
            arguments = {
                "repo_path": str(lab.path),
                "title": f"number {number}",
                "idempotency_key": str(number % 4),
            }
            arguments["title"] = f"number {number % 4}"
            assert not (await session.call_tool("task_create", arguments)).is_error

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(create, number)

    in_session(lab, act)
    tasks = json.loads(lab.run("git-plan", "task", "list", "--json").out)["tasks"]
    assert sorted(task["title"] for task in tasks) == [f"number {number}" for number in range(4)]


def test_bad_lines_are_answered_and_the_next_call_works(lab: Lab) -> None:
    with raw_server(lab) as server:
        server.initialise()
        for line, code in (
            (b"no json", -32700),
            (b"\xff\xfe{", -32700),
            (b"[" * 100_000, -32700),
            (b"[]", -32600),
            (b'{"id": 1, "method": "ping"}', -32600),
            (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600),
            (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', -32600),
            (b'{"jsonrpc": "2.0", "id": 1}', -32600),
            (b'{"x":"' + b"y" * 17_000_000 + b'"}', -32600),
        ):
            server.send(line)
            error = server.answer()
            assert (error["id"], error["error"]["code"]) == (None, code), line[:60]
        server.send(b'{"jsonrpc": "2.0", "id": 7, "method": "ping", "params": []}')
        error = server.answer()
        assert (error["id"], error["error"]["code"]) == (7, -32602)
        server.ask(1, "tools/call", name="plan", arguments={"repo_path": "x" * 10_000_000})
        refused = server.answer()["result"]
        assert (refused["isError"], refused["structuredContent"]["error"]["code"]) == (True, "E_TOO_LARGE")
        server.ask(2, "tools/call", name="plan", arguments={"repo_path": str(lab.path), "action": "list"})
        assert server.answer()["result"]["isError"] is False
        server.ask(3, "tools/call", name="plan", arguments=[])
        assert server.answer()["error"]["code"] == -32602
        server.send(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":[]}}')
        server.ask(4, "no/such")
        assert server.answer()["error"]["code"] == -32601
        assert server.end() == (0, "")


def test_many_calls_at_once_run_a_few_at_a_time(lab: Lab) -> None:
    with raw_server(lab) as server:
        server.initialise()
        for number in range(40):
            server.ask(number, "tools/call", name="resources", arguments={"repo_path": str(lab.path), "x": 1})
        forks = psutil.Process(server.process.pid).children()
        most = 0
        answered = set()
        for _ in range(40):
            answered.add(server.answer()["id"])
            most = max(most, sum(is_running(child.pid) for fork in forks for child in fork.children()))
        assert (answered, most <= 16) == ({*range(40)}, True)
        assert server.end() == (0, "")


def test_clients_of_older_protocols_get_the_whole_result_as_text(lab: Lab) -> None:
    workshop(lab)
    notes = [word for number in range(9) for word in ("--note", f"{number} {'x' * 2500}")]
    assert lab.run("git-plan", "task", "add", "long", *notes).status == 0
    for version in ("2024-11-05", "2025-06-18"):
        with raw_server(lab) as server:
            client = {"name": "test", "version": "1"}
            server.ask(0, "initialize", protocolVersion=version, capabilities={}, clientInfo=client)
            assert server.answer()["result"]["protocolVersion"] == version
            arguments = {"repo_path": str(lab.path), "task": "task_001"}
            server.ask(1, "tools/call", name="task_show", arguments=arguments)
            text = server.answer()["result"]["content"][0]["text"]
            if version < "2025":
                assert json.loads(text)["task"]["title"] == "long"
            else:
                assert text.endswith("… (complete in the structured content)")


def test_calls_that_came_are_answered_after_stdin_is_closed(lab: Lab) -> None:
    workshop(lab)
    arguments = {"repo_path": str(lab.path), "title": "x"}
    with raw_server(lab) as server:
        server.initialise()
        server.ask(1, "tools/call", name="task_create", arguments=arguments)
        assert server.process.stdin is not None
        server.process.stdin.close()
        server.process.stdin = None
        assert server.answer()["id"] == 1
        assert server.end() == (0, "")


def test_a_client_that_reads_no_more_ends_the_server(lab: Lab) -> None:
    with raw_server(lab) as server:
        server.initialise()
        assert server.process.stdout is not None
        server.process.stdout.close()
        server.ask(1, "tools/list")
        assert server.process.wait(timeout=HANG_SECONDS) == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == b""


def sleeping() -> tuple[str, str]:
    """Return a command that sleeps for long, and its argument, which no other test uses."""
    seconds = f"6{random.randrange(10**9)}.25"
    return f"sleep {seconds}", seconds


def running(argument: str) -> list[psutil.Process]:
    """Return the processes with an argument."""
    chosen = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if argument in process.cmdline():
                chosen.append(process)
    return chosen


def test_a_server_that_is_asked_to_end_says_so(lab: Lab) -> None:
    with raw_server(lab) as server:
        server.initialise()
        server.process.send_signal(signal.SIGTERM)
        status, err = server.end()
    assert (status, err.strip()) == (128 + signal.SIGTERM, "error: interrupted (E_INTERRUPTED)")


def test_long_work_goes_on_without_the_server(lab: Lab) -> None:
    workshop(lab)
    command, seconds = sleeping()
    assert lab.run("git-plan", "task", "add", "x", "--verify", command).status == 0
    where = {"repo_path": str(lab.path)}
    with raw_server(lab) as server:
        server.initialise()
        arguments = {**where, "action": "start", "task": "task_001", "ref": "main"}
        server.ask(1, "tools/call", name="record", arguments=arguments)
        begun = server.answer()["result"]["structuredContent"]["result"]
        assert begun["state"] == "running"
        wait_until(lambda: running(seconds))
        server.process.kill()
    with raw_server(lab) as server:
        server.initialise()
        for action, state in (("result", "running"), ("stop", "ended")):
            arguments = {**where, "action": action, "handle": begun["handle"]}
            server.ask(1, "tools/call", name="record", arguments=arguments)
            assert server.answer()["result"]["structuredContent"]["result"]["state"] == state
    assert running(seconds) == []


def test_a_cancelled_call_ends_its_command(lab: Lab) -> None:
    workshop(lab)
    command, seconds = sleeping()
    hook = lab.path / ".git" / "hooks" / "reference-transaction"
    hook.write_text(f"#!/bin/sh\nexec {command}\n")
    hook.chmod(0o755)
    before = lab.refs()
    with raw_server(lab) as server:
        server.initialise()
        arguments = {"repo_path": str(lab.path), "title": "x", "idempotency_key": "k"}
        server.ask(1, "tools/call", name="task_create", arguments=arguments)
        wait_until(lambda: running(seconds))
        server.send(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}')
        wait_until(lambda: not running(seconds))
        hook.unlink()
        assert lab.refs() == before
        server.ask(2, "tools/call", name="task_create", arguments=arguments)
        created = server.answer()
        assert (created["id"], created["result"]["isError"]) == (2, False)
        assert server.end() == (0, "")


def test_a_worker_asks_works_and_is_integrated(lab: Lab) -> None:
    """The planner's part of a campaign, through tools only; the worker's client is a shell script."""
    set_up_lab(lab, ("Make it smaller", "--write-scope", "src/**"))
    set_client(
        lab, f'{THREAD.format("t-1")}\nif [ -n "$thread" ]; then echo 90 >src/value; {REPORT}; else {ASK}; fi'
    )
    where = {"repo_path": str(lab.path)}
    with raw_server(lab) as server:
        server.initialise()

        def result(tool: str, **arguments: Any) -> dict[str, Any]:
            server.ask(1, "tools/call", name=tool, arguments={**where, **arguments})
            content = server.answer()["result"]["structuredContent"]
            assert "error" not in content, content
            document: dict[str, Any] = content["result"]
            return document

        spawned = {"task": "task_001", "backend": "headless", "idempotency_key": "first"}
        session = result("worker_spawn", **spawned)
        assert session["name"] == "worker-task_001"
        assert result("worker_spawn", **spawned) == session
        wait_until(lambda: result("inbox")["items"])
        assert "which?" in result("inbox")["items"][0]["text"]
        result("task_update", task="task_001", action="answer", answer="this one")
        result("task_update", task="task_001", action="resume")
        result("worker_spawn", task="task_001", backend="headless")
        wait_until(lambda: result("task_show", task="task_001")["task"]["status"] == "agent_done")
        assert "worker-task_001" in result("sessions", action="prompt", name="task_001")["prompt"]
        handle = result("worker_integrate", idempotency_key="bring")["handle"]
        wait_until(lambda: result("record", action="result", handle=handle)["state"] == "ended")
        (brought,) = result("record", action="result", handle=handle)["result"]["tasks"]
        assert (brought["task"], brought["outcome"]) == ("task_001", "integrated")
        states = {session["state"] for session in result("sessions")["sessions"]}
        assert states <= {"ended", "needs_input"}
        assert result("sessions", action="shutdown")["sessions"] == []
        assert server.end() == (0, "")
    assert lab.show("main:src/value") == "90\n"


def test_the_list_of_tools_is_short() -> None:
    described = [
        describe_tool(tool).model_dump(mode="json", by_alias=True, exclude_none=True)
        for tool in TOOLS.values()
    ]
    assert len(json.dumps(described, separators=(",", ":"))) < 22_000


def test_a_call_whose_process_was_killed_is_done_once(lab: Lab) -> None:
    workshop(lab)
    command, seconds = sleeping()
    hook = lab.path / ".git" / "hooks" / "reference-transaction"
    # The branch has moved, and the outcome is not kept yet.
    hook.write_text(f'#!/bin/sh\ngrep -q plan/default && [ "$1" = committed ] && exec {command}\nexit 0\n')
    hook.chmod(0o755)
    with raw_server(lab) as server:
        server.initialise()
        arguments = {"repo_path": str(lab.path), "title": "x", "idempotency_key": "k"}
        server.ask(1, "tools/call", name="task_create", arguments=arguments)
        wait_until(lambda: running(seconds))
        os.killpg(os.getpgid(running(seconds)[0].pid), signal.SIGKILL)
        error = server.answer()["result"]["structuredContent"]["error"]
        assert (error["code"], error["hint"]) == ("E_INTERNAL", "try the call again")
        hook.unlink()
        server.ask(2, "tools/call", name="task_create", arguments=arguments)
        again = server.answer()["result"]["structuredContent"]["result"]
        assert again["task"]["id"] == "task_001"
        server.ask(3, "tools/call", name="tasks_list", arguments={"repo_path": str(lab.path)})
        listed = server.answer()["result"]["structuredContent"]["result"]
        assert [task["title"] for task in listed["tasks"]] == ["x"]
        assert server.end() == (0, "")


def test_without_the_extra_it_says_what_to_install(lab: Lab) -> None:
    hidden = "import sys; sys.modules['mcp'] = None; from git_planner import cli; "
    code = hidden + "sys.exit(cli.main('git-planner', ['mcp']))"
    ran = lab.run_program(sys.executable, "-c", code)
    assert ran.status == 4
    assert ran.err == (
        "error: 'mcp', which speaks the protocol, is not installed (E_MISSING_EXTRA)\n"
        "hint: pip install 'git-planner[mcp]'\n"
    )


def test_nothing_else_imports_the_protocol() -> None:
    code = "import sys, git_planner.cli.git_planner.mcp, git_planner.mcp.calls; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert {"mcp", "mcp_types", "anyio", "pydantic"} & set(modules.split()) == set()
