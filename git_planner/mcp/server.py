"""The server: the protocol on stdio, a process for each call."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import anyio
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from git_planner import __version__
from git_planner.errors import PlannerError
from git_planner.host.calls.fork_server import HEADER_BYTES, ForkedProcess, ForkServer, packed
from git_planner.mcp import resources
from git_planner.mcp.arguments import MAX_ARGUMENTS
from git_planner.mcp.tools import TOOLS, Tool, input_schema, output_schema
from git_planner.mcp.wire import Reader, Writer

INSTRUCTIONS = (
    "Plans, tasks, leases and measurements of git repositories. Give every call the repo_path you work in. "
    "A refused call says in 'hint' what to do next. Repeat a changing call with the same idempotency_key "
    "after a lost answer. Questions for the operator go through task_update request_input, never elsewhere."
)
CALL_SECONDS = 900.0
# Seconds that a cancelled call has to clean up.
_GRACE_SECONDS = 10.0
_CHUNK = 256 * 1024
# Characters of a result that are shown as text, too; to clients of older protocols, all of them.
_TEXT = 16_000
_FIRST_WITH_STRUCTURE = "2025-06-18"
# Calls that are carried out at once; further ones wait.
_MOST_AT_ONCE = 16


def serve(forks: ForkServer) -> None:
    """Serve on stdin and stdout until the client closes stdin.

    Args:
        forks: forks the processes of the calls; it has been started.
    """
    # What a signal interrupts is not told again by the event loop.
    for name in ("mcp", "asyncio"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
    anyio.run(_serve, forks)


async def _serve(forks: ForkServer) -> None:
    server = build_server(Calls(forks))
    out = os.dup(1)
    writer = Writer(out)
    streams = stdio_server(cast(Any, Reader(0, writer)), cast(Any, writer))
    try:
        # What a library prints must not get between the messages.
        os.dup2(2, 1)
        async with streams as (source, sink):
            await server.run(source, sink, server.create_initialization_options())
    finally:
        os.dup2(out, 1)
        os.close(out)


def build_server(calls: Calls) -> Server[Any]:
    """Return the server with its tools and resources."""

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[describe_tool(tool) for tool in TOOLS.values()])

    async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        outcome = await calls.call({"tool": params.name, "arguments": params.arguments or {}})
        text = as_text(outcome, is_whole=context.protocol_version < _FIRST_WITH_STRUCTURE)
        content = [types.TextContent(type="text", text=text)]
        return types.CallToolResult(
            content=list(content), structured_content=outcome, is_error="error" in outcome
        )

    async def list_resources(_: Any, __: Any) -> types.ListResourcesResult:
        outcome = await calls.call({"resources": os.getcwd()})
        listed = outcome.get("plans", ())
        return types.ListResourcesResult(
            resources=[
                types.Resource(name=name, uri=uri, mime_type="application/json") for name, uri in listed
            ]
        )

    async def list_templates(_: Any, __: Any) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(
                    name=kind.name,
                    uri_template=kind.template,
                    description=kind.about,
                    mime_type=kind.media_type,
                )
                for kind in resources.KINDS.values()
            ]
        )

    async def read_resource(_: Any, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        outcome = await calls.call({"resource": params.uri})
        if "error" in outcome:
            error = outcome["error"]
            data = {"code": error["code"], "hint": error["hint"]}
            raise MCPError(types.INVALID_PARAMS, as_text(outcome), data)
        return types.ReadResourceResult(
            contents=[
                types.TextResourceContents(
                    uri=params.uri, mime_type=outcome["media_type"], text=outcome["text"]
                )
            ]
        )

    return Server(
        "git-planner",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )


def describe_tool(tool: Tool) -> types.Tool:
    """Return a tool as clients list it."""
    return types.Tool(
        name=tool.name,
        description=tool.about,
        input_schema=input_schema(tool),
        output_schema=output_schema(),
        annotations=types.ToolAnnotations(
            read_only_hint=not tool.may_change,
            destructive_hint=tool.destructive if tool.may_change else None,
            idempotent_hint=tool.idempotent if tool.may_change else None,
            open_world_hint=False,
        ),
    )


def as_text(outcome: Mapping[str, Any], *, is_whole: bool = True) -> str:
    """Return an outcome as text for clients that show no structured content, cut unless it is to be whole."""
    error = outcome.get("error")
    if error is not None:
        lines = [f"error: {error['message']} ({error['code']})", *(error.get("details") or ())]
        return "\n".join([*lines, *([f"hint: {error['hint']}"] if error.get("hint") else [])])
    text = json.dumps(outcome.get("result", {}), ensure_ascii=False, separators=(",", ":"))
    return text if is_whole or len(text) <= _TEXT else f"{text[:_TEXT]}… (complete in the structured content)"


class Calls:
    """Carries out calls in processes of their own.

    Args:
        forks: forks the processes.
        seconds: after so long a call is cancelled.
    """

    def __init__(self, forks: ForkServer, seconds: float = CALL_SECONDS) -> None:
        self._forks, self._seconds = forks, seconds
        self._room = anyio.Semaphore(_MOST_AT_ONCE)

    async def call(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outcome of a call, or an error. A cancelled call is asked to end, and cleans up."""
        data = json.dumps(request).encode()
        try:
            if len(data) > MAX_ARGUMENTS:
                raise PlannerError(
                    "E_TOO_LARGE",
                    f"the arguments have {len(data):,} bytes; at most {MAX_ARGUMENTS:,} are taken",
                    hint="shorten the texts",
                )
            async with self._room:
                with anyio.fail_after(self._seconds):
                    return await self._ask(data)
        except TimeoutError:
            error = PlannerError(
                "E_DEADLINE",
                f"the call took more than {self._seconds:g} seconds and was ended",
                hint="see what it did, then call again",
            )
        except PlannerError as refused:
            error = refused
        document = error.document()
        return {"error": {name: document[name] for name in ("code", "message", "hint", "details")}}

    async def _ask(self, data: bytes) -> dict[str, Any]:
        connection = self._forks.connect()
        process: ForkedProcess | None = None
        is_answered = False
        try:
            connection.setblocking(False)
            process = ForkedProcess(await _receive(connection, HEADER_BYTES))
            if not process.is_running():
                raise PlannerError(
                    "E_RESOURCES", "no process could be started for the call", hint="try the call again"
                )
            await _send(connection, packed(data))
            answer = await _receive(connection)
            is_answered = True
        finally:
            connection.close()
            if process is not None and not is_answered:
                await _end(process)
        if not answer:
            raise PlannerError(
                "E_INTERNAL", "the process of the call ended without an answer", hint="try the call again"
            )
        outcome: dict[str, Any] = json.loads(answer)
        return outcome


async def _receive(connection: socket.socket, size: int | None = None) -> bytes:
    """Read so many bytes, or all until the other side closes."""
    data = bytearray()
    while size is None or len(data) < size:
        await anyio.wait_readable(connection)
        try:
            part = connection.recv(_CHUNK if size is None else size - len(data))
        except ConnectionResetError:
            break
        if not part:
            break
        data += part
    return bytes(data)


async def _send(connection: socket.socket, data: bytes) -> None:
    rest = memoryview(data)
    with suppress(BrokenPipeError, ConnectionResetError):
        while rest:
            await anyio.wait_writable(connection)
            rest = rest[connection.send(rest) :]


async def _end(process: ForkedProcess) -> None:
    """End the process of a cancelled call, as Ctrl-C does."""
    with anyio.CancelScope(shield=True):
        process.send_signal(signal.SIGTERM)
        with anyio.move_on_after(_GRACE_SECONDS):
            while process.is_running():
                await anyio.sleep(0.02)
        process.send_signal(signal.SIGKILL)
