"""Event stream of codex (`--json`) and classification of its failures.

An 'error' event is not final: codex retries on its own. Only turn.completed, turn.failed and the exit
status are final. Usage is that of the complete thread, so the last one counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from git_planner.agents.contract import Usage
from git_planner.errors import PlannerError
from git_planner.host.process import Finished

# The first matching pattern decides; the texts are those of codex (0.150 to 0.169) and of the service.
FAILURES: tuple[tuple[str, str], ...] = (
    ("E_CODEX_QUOTA", r"usage limit|usage_limit|insufficient_quota|quota exceeded|billing"),
    ("E_CODEX_AUTH", r"status:? 40[13]\b|unauthori[sz]ed|not logged in|missing environment variable"),
    ("E_CODEX_AUTH", r"access token|refresh token|log ?in again|invalid_api_key|incorrect api key"),
    ("E_CODEX_RATE", r"\b429\b|rate limit|rate_limit|too many requests"),
    ("E_CODEX_INCOMPLETE", r"incomplete response"),
    ("E_CODEX_REQUEST", r"context window|context_length|invalid_prompt|status:? 4\d\d\b|^\s*\{"),
    ("E_CODEX_STREAM", r"stream disconnected|idle timeout|stream closed"),
    ("E_CODEX_SERVER", r"high demand|status:? 5\d\d\b|server_error|overloaded|internal server error"),
    ("E_CODEX_NETWORK", r"connection (failed|refused|reset)|error sending request|dns|network"),
    ("E_CODEX_CONFIG", r"trusted directory|config|schema|unexpected argument|no such (file|profile)"),
)
HINTS = {
    "E_CODEX_AUTH": "see 'codex login status', and 'git planner doctor' for the home codex uses",
    "E_CODEX_CONFIG": "see 'codex doctor'; codex reads 'config.toml' in its CODEX_HOME",
    "E_CODEX_FAILED": "read codex's output in the folder of the attempt",
    "E_CODEX_INCOMPLETE": "reduce the request, or select another model with '--model'",
    "E_CODEX_NETWORK": "check the connection with 'codex doctor'",
    "E_CODEX_QUOTA": "wait until the limit is reset, or use another login: 'codex login'",
    "E_CODEX_RATE": "wait a while, or select another model with '--model'",
    "E_CODEX_REQUEST": "read the service's message; a smaller 'prompt_budget' in the policy may help",
    "E_CODEX_SERVER": "try again later; the fault is in the service",
    "E_CODEX_STREAM": "try again later; the fault is in the connection or the service",
}
_MAX_LINE = 400


@dataclass(slots=True)
class CodexEvents:
    """Events of one `codex exec --json` so far, read line by line from its stdout."""

    on_action: Callable[[str], None] | None = None
    thread: str | None = None
    message: str = ""
    usage: Usage = field(default_factory=Usage)
    completed: bool = False
    failure: str | None = None
    errors: list[str] = field(default_factory=list)

    def read_line(self, data: bytes) -> None:
        """Read one line of stdout. Ignore lines that are not events."""
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return
        if isinstance(event, dict):
            self._read_event(event)

    def _read_event(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "thread.started":
            self.thread = _text(event.get("thread_id")) or None
        elif kind == "turn.completed":
            self.completed, self.usage = True, _usage(event.get("usage"))
        elif kind == "turn.failed":
            error = event.get("error")
            self.failure = _text(error.get("message") if isinstance(error, dict) else error) or "no reason"
        elif kind == "error":
            self.errors = [*self.errors, _text(event.get("message"))][-10:]
        elif kind in ("item.started", "item.completed") and isinstance(event.get("item"), dict):
            self._read_item(kind, event["item"])

    def _read_item(self, kind: str, item: dict[str, Any]) -> None:
        item_type = item.get("type")
        if item_type == "agent_message" and kind == "item.completed":
            self.message = _text(item.get("text"))
        elif self.on_action is not None and item_type == "command_execution" and kind == "item.started":
            self.on_action(_line(_text(item.get("command"))))
        elif self.on_action is not None and item_type == "file_change" and kind == "item.completed":
            changes = [change for change in item.get("changes") or () if isinstance(change, dict)]
            for change in changes:
                self.on_action(_line(f"{_text(change.get('kind'))} {_text(change.get('path'))}"))


def check_outcome(done: Finished, events: CodexEvents) -> None:
    """Raise an error if a run of codex timed out or failed.

    Raises:
        PlannerError: E_DEADLINE, a code of FAILURES, or E_CODEX_FAILED.
    """
    if done.timed_out:
        raise PlannerError(
            "E_DEADLINE",
            f"codex reached its deadline and was ended after {done.seconds:.0f} s",
            hint="raise its timeout in the policy's 'agents', or run 'codex doctor'",
            details=events.errors[-3:] or ["codex printed no error: the service never answered"],
        )
    if done.status == 0 and events.completed and events.failure is None:
        return
    message = events.failure or _error_line(done.stderr) or (events.errors[-1] if events.errors else "")
    if events.failure is None and events.thread is None and done.status != 0:
        code = classify_failure(message, before_start=True)
    else:
        code = classify_failure(message)
    reason = _line(_service_message(message)) or f"it exited with status {done.status} without a message"
    raise PlannerError(code, f"codex failed: {reason}", hint=HINTS[code], details=_stderr_tail(done.stderr))


def classify_failure(message: str, *, before_start: bool = False) -> str:
    """Return the error code of a failure message of codex.

    Args:
        message: its last error message.
        before_start: whether it exited before its first turn; an unknown failure is then its configuration.
    """
    for code, pattern in FAILURES:
        if re.search(pattern, message, re.IGNORECASE):
            return code
    return "E_CODEX_CONFIG" if before_start else "E_CODEX_FAILED"


def _service_message(text: str) -> str:
    """Return the message within an error that is the service's JSON body, or the text itself."""
    try:
        error = json.loads(text).get("error")
    except (ValueError, AttributeError, RecursionError):
        return text
    return (_text(error.get("message")) if isinstance(error, dict) else _text(error)) or text


def _usage(document: Any) -> Usage:
    fields = document if isinstance(document, dict) else {}
    counts = [fields.get(name) for name in ("input_tokens", "output_tokens")]
    return Usage(*(count if isinstance(count, int) else 0 for count in counts))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 1] + "…"


def _error_line(stderr: bytes) -> str:
    """Return the last line of stderr that starts with 'error', else the last line."""
    lines = _stderr_tail(stderr)
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or [""])[-1]


def _stderr_tail(stderr: bytes) -> Sequence[str]:
    lines = [_line(line) for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    return [line for line in lines if not line.startswith("Reading additional input")][-20:]
