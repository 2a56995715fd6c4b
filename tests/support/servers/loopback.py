"""Base of the loopback servers: a port of 127.0.0.1, a script to play, replies, event streams."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Generic, TypeVar

Script = TypeVar("Script")


class Server(ThreadingHTTPServer, Generic[Script]):
    """A server that plays a script on a port of the loopback interface."""

    daemon_threads = True

    def __init__(self, script: Script, handler: type[Handler]) -> None:
        self.script = script
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), handler)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that close the connection; tests provoke this."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server[Any]
    protocol_version = "HTTP/1.1"

    def body(self) -> Any:
        """Return the document of the only request on this connection."""
        self.close_connection = True
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def open_stream(self, headers: Mapping[str, str] | None = None) -> None:
        """Start an event stream."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        for name, value in (headers or {"connection": "close"}).items():
            self.send_header(name, value)
        self.end_headers()

    def event(self, text: str) -> None:
        """Send the text of one event."""
        self.wfile.write(text.encode())
        self.wfile.flush()

    def reply(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        """Send a complete response."""
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        fields = {"content-type": "application/json", "connection": "close", **(headers or {})}
        self.send_response(status)
        for name, value in {**fields, "content-length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing to stderr."""


@contextmanager
def running(
    script: Script, handler: type[Handler], context: ssl.SSLContext | None = None
) -> Iterator[Server[Script]]:
    """Run a server that plays a script until the end of the block, over TLS if there is a context."""
    server = Server(script, handler)
    if context is not None:
        # The handshake is made in the connection's own thread.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
