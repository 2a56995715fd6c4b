"""Loopback server for the gemini CLI: the part of the Gemini API that complete turns need.

A script is a list of replies, one for each request of `streamGenerateContent`; the last one is repeated.
Requests are recorded. It listens on 127.0.0.1 only.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.servers import loopback

USAGE = {"promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120}
MODEL = "gemini-3.1-pro-preview"


@dataclass(frozen=True)
class Reply:
    """One reply of the service. `play` writes it to the connection."""

    play: Callable[[Handler], None]


def says(text: str, finish: str = "STOP", model: str = MODEL) -> Reply:
    """Return a reply with a text and a finish reason: STOP, MAX_TOKENS, SAFETY."""
    content = {"role": "model", "parts": [{"text": text}]}
    return chunk(
        {
            "candidates": [{"content": content, "finishReason": finish}],
            "usageMetadata": USAGE,
            "modelVersion": model,
        }
    )


def ends(finish: str) -> Reply:
    """Return a reply without text and with a finish reason."""
    return chunk({"candidates": [{"finishReason": finish}], "usageMetadata": USAGE, "modelVersion": MODEL})


def blocks() -> Reply:
    """Return a reply that blocks the prompt."""
    return chunk({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": USAGE})


def chunk(document: object) -> Reply:
    """Return a stream of one event; a document that is not a text is sent as JSON."""
    data = document if isinstance(document, str) else json.dumps(document)

    def play(handler: Handler) -> None:
        handler.open_stream()
        handler.event(f"data: {data}\r\n\r\n")

    return Reply(play)


def cuts(text: str = "## Summary\n\nThe first") -> Reply:
    """Return a stream that breaks off in the middle."""

    def play(handler: Handler) -> None:
        handler.open_stream({"content-length": "100000"})
        content = {"role": "model", "parts": [{"text": text}]}
        handler.event(f"data: {json.dumps({'candidates': [{'content': content}]})}\r\n\r\n")

    return Reply(play)


def never_answers() -> Reply:
    """Return a reply that never comes."""
    return Reply(lambda handler: void(handler.server.over.wait(120)))


def void(_: object) -> None:
    """Ignore a value."""


def fails(
    status: int, state: str = "FAILED", message: str | None = None, details: Sequence[object] = ()
) -> Reply:
    """Return an HTTP error in the form of the service."""
    error = {"code": status, "status": state, "message": message or f"stub says {status}", "details": details}
    return Reply(lambda handler: handler.reply(status, {"error": error}))


def spent() -> Reply:
    """Return the error of an exhausted daily quota."""
    metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
    violation = {
        "quotaMetric": metric,
        "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
        "quotaValue": "50",
    }
    failure = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
    message = f"You exceeded your current quota. Quota exceeded for metric: {metric}, limit: 50"
    return fails(429, "RESOURCE_EXHAUSTED", message, [failure])


@dataclass
class Script:
    """Replies to play, and the requests received."""

    replies: Sequence[Reply]
    requests: list[dict[str, Any]] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, model: str, request: dict[str, Any], key: str) -> Reply:
        """Record a request and return its reply."""
        with self._lock:
            place = min(len(self.requests), len(self.replies) - 1)
            self.requests.append(request)
            self.models.append(model)
            self.keys.append(key)
        return self.replies[place]

    def prompts(self) -> list[str]:
        """Return the texts of the user in each request."""
        return [
            "\n".join(
                part.get("text", "")
                for content in request.get("contents", ())
                if content.get("role") == "user"
                for part in content.get("parts", ())
            )
            for request in self.requests
        ]


class Handler(loopback.Handler):
    """A connection from gemini."""

    server: Server

    def do_POST(self) -> None:
        """Answer a request for content."""
        body = self.body()
        path, _, verb = self.path.partition("?")[0].rpartition(":")
        if verb == "streamGenerateContent":
            model = path.rpartition("/")[2]
            self.server.script.next(model, body, self.headers.get("x-goog-api-key", "")).play(self)
        else:
            self.reply(404, {"error": {"code": 404, "message": "not here", "status": "NOT_FOUND"}})


Server = loopback.Server[Script]


@contextmanager
def serving(*replies: Reply) -> Iterator[Server]:
    """Run a server that plays these replies; the last one is repeated."""
    with loopback.running(Script(replies), Handler) as server:
        yield server


def gemini_home(home: Path, port: int) -> dict[str, str]:
    """Create a home in which gemini uses an API key, tries once, and contacts the server on a port.

    Returns:
        The environment variables for that home.
    """
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "general": {"maxAttempts": 1, "enableAutoUpdate": False, "disableUpdateNag": True},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
    }
    (home / ".gemini").mkdir(parents=True, exist_ok=True)
    (home / ".gemini" / "settings.json").write_text(json.dumps(settings))
    return {
        "HOME": str(home),
        "GEMINI_API_KEY": "stub-key",
        "GOOGLE_GEMINI_BASE_URL": f"http://127.0.0.1:{port}",
    }
