"""Loopback server for codex: the part of the Responses API that complete turns need.

A script is a list of turns, one for each request: a text of the model, a tool call, or a failure of the
service. Requests are recorded. It listens on 127.0.0.1 only.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.servers import loopback

Item = dict[str, Any]
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 10},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 120,
}


@dataclass(frozen=True)
class Turn:
    """One reply of the service. `play` writes it to the connection."""

    play: Callable[[Handler], None]


def says(text: str) -> Turn:
    """Return a turn in which the model answers with a text."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return items({"type": "message", "role": "assistant", "id": "msg_1", "content": content})


def answers(document: object) -> Turn:
    """Return a turn in which the model answers with a JSON document."""
    return says(json.dumps(document))


def runs(command: str) -> Turn:
    """Return a turn in which the model calls codex's shell tool."""
    arguments = json.dumps({"cmd": command})
    return items(
        {
            "type": "function_call",
            "id": "fc_1",
            "name": "exec_command",
            "arguments": arguments,
            "call_id": "c1",
        }
    )


def patches(patch: str) -> Turn:
    """Return a turn in which the model calls codex's apply_patch tool ('*** Begin Patch' …)."""
    return items(
        {"type": "custom_tool_call", "id": "ct_1", "name": "apply_patch", "input": patch, "call_id": "c2"}
    )


def edits(path: str, old: str, new: str) -> Turn:
    """Return a turn in which the model changes lines of a file with apply_patch."""
    lines = [f"*** Update File: {path}", "@@", *(f"-{x}" for x in old.splitlines())]
    return patches(
        "\n".join(["*** Begin Patch", *lines, *(f"+{x}" for x in new.splitlines()), "*** End Patch"])
    )


def items(*output: Item) -> Turn:
    """Return a turn with a complete response of these items."""

    def play(handler: Handler) -> None:
        handler.open_stream()
        handler.says("response.created", response={"id": "resp_1"})
        for item in output:
            handler.says("response.output_item.done", output_index=0, item=item)
        handler.says("response.completed", response={"id": "resp_1", "usage": USAGE})

    return Turn(play)


def fails(status: int, body: object = None, headers: Mapping[str, str] | None = None) -> Turn:
    """Return a turn with an HTTP error."""
    document = {"error": {"message": f"stub says {status}"}} if body is None else body
    return Turn(lambda handler: handler.reply(status, document, headers))


def failed(code: str, message: str) -> Turn:
    """Return a turn whose response fails with a code of the API."""

    def play(handler: Handler) -> None:
        handler.open_stream()
        handler.says("response.created", response={"id": "resp_1"})
        error = {"code": code, "message": message}
        handler.says("response.failed", response={"id": "resp_1", "status": "failed", "error": error})

    return Turn(play)


def stops_short(reason: str = "max_output_tokens") -> Turn:
    """Return a turn whose response ends as incomplete."""

    def play(handler: Handler) -> None:
        handler.open_stream()
        details = {"reason": reason}
        handler.says("response.incomplete", response={"id": "resp_1", "incomplete_details": details})

    return Turn(play)


def cuts() -> Turn:
    """Return a turn whose stream starts and breaks off."""

    def play(handler: Handler) -> None:
        handler.open_stream()
        handler.says("response.created", response={"id": "resp_1"})

    return Turn(play)


def falls_silent() -> Turn:
    """Return a turn whose stream starts and then stays silent."""

    def play(handler: Handler) -> None:
        handler.open_stream()
        handler.says("response.created", response={"id": "resp_1"})
        handler.server.over.wait()

    return Turn(play)


def never_answers() -> Turn:
    """Return a turn without any reply."""
    return Turn(lambda handler: (handler.server.over.wait(), None)[1])


@dataclass
class Script:
    """Turns to play, and the requests received. The last turn is repeated if `again` is set."""

    turns: Sequence[Turn]
    again: bool = False
    requests: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, request: dict[str, Any], key: str) -> Turn:
        """Record a request and return its turn."""
        with self._lock:
            place = len(self.requests)
            self.requests.append(request)
            self.times.append(time.monotonic())
            self.keys.append(key)
        if place < len(self.turns):
            return self.turns[place]
        return self.turns[-1] if self.again else fails(400, {"error": {"message": "the script is over"}})

    def prompts(self) -> list[str]:
        """Return the texts of the user's messages in each request."""
        return ["\n".join(_user_texts(request)) for request in self.requests]


class Handler(loopback.Handler):
    """A connection from codex."""

    server: Server

    def do_POST(self) -> None:
        """Answer a request of the Responses API."""
        key = self.headers.get("authorization", "").removeprefix("Bearer ")
        body = self.body()
        if self.path.partition("?")[0].endswith("/responses"):
            self.server.script.next(body, key).play(self)
        else:
            self.reply(404, {"error": {"message": "not here"}})

    def do_GET(self) -> None:
        """Refuse the WebSocket, so that the client immediately falls back to plain requests."""
        self.close_connection = True
        self.reply(426 if self.path.endswith("/responses") else 404, {})

    def says(self, kind: str, **fields: object) -> None:
        """Send one event of the API."""
        self.event(f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n")


Server = loopback.Server[Script]


@contextmanager
def serving(*turns: Turn, again: bool = False) -> Iterator[Server]:
    """Run a server that plays these turns."""
    with loopback.running(Script(turns, again), Handler) as server:
        yield server


def closed_port() -> int:
    """Return a port that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def codex_home(path: Path, port: int, *, retries: int = 0, idle: float = 300, model: str = "gpt-5.5") -> Path:
    """Create a CODEX_HOME whose only provider is the server on a port; its key is in STUB_API_KEY.

    Args:
        path: a folder outside the system's temporary folder.
        port: the port of the server.
        retries: number of retries by codex itself.
        idle: seconds of silence in a stream before codex gives up.
        model: the model's name; codex's tools depend on it.
    """
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.toml").write_text(
        f'model = "{model}"\nmodel_provider = "stub"\ncheck_for_update_on_startup = false\n'
        "[analytics]\nenabled = false\n"
        "[features]\nplugins = false\napps = false\n"
        f'[model_providers.stub]\nname = "stub"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
        'wire_api = "responses"\nenv_key = "STUB_API_KEY"\n'
        f"request_max_retries = {retries}\nstream_max_retries = {retries}\n"
        f"stream_idle_timeout_ms = {int(idle * 1000)}\n"
    )
    return path


def _user_texts(request: Mapping[str, Any]) -> Iterator[str]:
    for item in request.get("input", ()):
        if item.get("role") == "user":
            for part in item.get("content", ()):
                yield part.get("text", "")
