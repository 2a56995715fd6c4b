"""Lines of JSON on two file descriptors: bounded, and read without a thread that outlives the server."""

from __future__ import annotations

import json
import os
import re
import stat
from contextlib import suppress
from typing import Any

import anyio

MAX_LINE = 16 * 1024 * 1024
_CHUNK = 256 * 1024
# A pipe takes so many bytes at once when it is ready for writing.
_PIPE_BYTES = 4096
# Seconds in which calls may end after the client has closed its side.
_LAST_CALLS_SECONDS = 30.0
# The id stands at the start of an answer.
_START = 400
# The only fault of a line whose request is known, so that its sender, who waits for it, is answered.
_BAD_PARAMS = -32602
_ID = re.compile(r'"id":\s*(-?\d+|"(?:[^"\\]|\\.)*")')
_NO_MESSAGE = (-32600, "the line is not a message of JSON-RPC 2.0")


class Writer:
    """Output of lines, which nobody reads any more once `has_reader` is false.

    `asked` are the ids of the requests that are not answered yet; `reading` is cancelled when it goes.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._waits = _may_block(number)
        self._lock = anyio.Lock()
        self.asked: set[int | str] = set()
        self.has_reader = True
        self.reading = anyio.CancelScope()

    async def write(self, text: str) -> None:
        """Write a text that ends with a newline."""
        data = memoryview(text.encode("utf-8", "backslashreplace"))
        async with self._lock:
            while data and self.has_reader:
                if self._waits:
                    await anyio.wait_writable(self._number)
                try:
                    data = data[os.write(self._number, data[:_PIPE_BYTES]) :]
                except OSError:
                    # No further answer can be given, so no further request is read.
                    self.has_reader = False
                    self.reading.cancel()
        if (identity := _ID.search(text, 0, _START)) is not None:
            self.asked.discard(json.loads(identity[1]))

    async def flush(self) -> None:
        """Do nothing: nothing is kept back."""


class Reader:
    """Input of lines: valid messages only; anything else is answered here with an error of JSON-RPC."""

    def __init__(self, number: int, writer: Writer) -> None:
        self._number, self._writer = number, writer
        self._waits = _may_block(number)
        self._buffer = bytearray()
        self._ended = False

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> str:
        """Return the next message."""
        while True:
            line = await self._line()
            if line is None:
                await self._finish_calls()
                raise StopAsyncIteration
            if not line.strip():
                continue
            message, fault = _parse(line)
            if fault is None:
                self._note(message)
                return line.decode("utf-8", "replace")
            code, text = fault
            await self._refuse(code, text, message.get("id") if code == _BAD_PARAMS else None)

    def _note(self, message: dict[str, Any]) -> None:
        """Note a request that is to be answered, and forget one that is cancelled."""
        if "id" in message and "method" in message:
            self._writer.asked.add(message["id"])
        elif message.get("method") == "notifications/cancelled":
            identity = message.get("params", {}).get("requestId")
            if isinstance(identity, int | str):
                self._writer.asked.discard(identity)

    async def _refuse(self, code: int, message: str, identity: int | str | None = None) -> None:
        error = {"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": message}}
        await self._writer.write(json.dumps(error) + "\n")

    async def _line(self) -> bytes | None:
        """Return the next line; None at the end. One that is too long is answered and skipped."""
        is_too_long = False
        searched = 0
        while True:
            end = self._buffer.find(b"\n", searched)
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                if not is_too_long:
                    return line
                await self._refuse(-32600, f"the message has more than {MAX_LINE:,} bytes")
                is_too_long, searched = False, 0
                continue
            if not self._writer.has_reader:
                return None
            if self._ended:
                line = bytes(self._buffer)
                self._buffer.clear()
                return line or None
            if len(self._buffer) > MAX_LINE:
                is_too_long = True
                self._buffer.clear()
            searched = len(self._buffer)
            await self._read()

    async def _read(self) -> None:
        part = b""
        with self._writer.reading, suppress(OSError):
            if self._waits:
                await anyio.wait_readable(self._number)
            else:
                await anyio.lowlevel.checkpoint()
            part = os.read(self._number, _CHUNK)
        # A cancel scope is entered once.
        self._writer.reading = anyio.CancelScope()
        self._buffer += part
        self._ended = not part

    async def _finish_calls(self) -> None:
        """Wait until the requests that came are answered."""
        with anyio.move_on_after(_LAST_CALLS_SECONDS):
            while self._writer.asked and self._writer.has_reader:
                await anyio.sleep(0.02)


def _parse(line: bytes) -> tuple[dict[str, Any], tuple[int, str] | None]:
    """Return a line's message; with code and text of the error if it is no message of JSON-RPC."""
    try:
        message: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {}, (-32700, f"the line is not JSON: {str(error)[:200]}")
    return (message, _fault(message)) if isinstance(message, dict) else ({}, _NO_MESSAGE)


def _fault(message: dict[str, Any]) -> tuple[int, str] | None:
    identity = message.get("id", 0)
    if message.get("jsonrpc") != "2.0":
        return _NO_MESSAGE
    if isinstance(identity, bool) or not isinstance(identity, int | str):
        return -32600, "the id of the message is neither a whole number nor a text"
    if not isinstance(message.get("params", {}), dict):
        return _BAD_PARAMS, "the params of the message are not an object"
    if isinstance(message.get("method"), str) or "result" in message or "error" in message:
        return None
    return -32600, "the message has no method"


def _may_block(number: int) -> bool:
    """Return whether reading or writing may wait: not for files, nor for /dev/null."""
    mode = os.fstat(number).st_mode
    return not stat.S_ISREG(mode) and not (stat.S_ISCHR(mode) and not os.isatty(number))
