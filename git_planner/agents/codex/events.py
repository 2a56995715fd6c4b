"""What codex says while it works (`--json`), and what its failures mean.

An 'error' event is not an end: codex tries again by itself. Only turn.completed, turn.failed and the exit
status are final. Usage is the whole thread's, so the last one counts.
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

# The first pattern that is found decides; the words are codex's own (0.150 to 0.169) and the service's.
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
    "E_CODEX_AUTH": "see 'codex login status', and 'git planner doctor' for where codex looks",
    "E_CODEX_CONFIG": "see 'codex doctor'; codex reads 'config.toml' in its CODEX_HOME",
    "E_CODEX_FAILED": "read what codex said in the folder of the attempt",
    "E_CODEX_INCOMPLETE": "ask for less, or name another model with '--model'",
    "E_CODEX_NETWORK": "check the connection; 'codex doctor' does",
    "E_CODEX_QUOTA": "wait until the limit is reset, or use another login: 'codex login'",
    "E_CODEX_RATE": "wait a while, or name another model with '--model'",
    "E_CODEX_REQUEST": "read what the service said; a smaller 'prompt_budget' in the policy may help",
    "E_CODEX_SERVER": "try again later; nothing is wrong here",
    "E_CODEX_STREAM": "try again later; nothing is wrong here",
}
_MOST = 400


@dataclass(slots=True)
class Events:
    """What one `codex exec --json` has said so far. Feed it the lines of stdout."""

    on_action: Callable[[str], None] | None = None
    thread: str | None = None
    message: str = ""
    usage: Usage = field(default_factory=Usage)
    completed: bool = False
    failure: str | None = None
    errors: list[str] = field(default_factory=list)

    def line(self, data: bytes) -> None:
        """Take one line; what is no event is passed over."""
        try:
            event = json.loads(data)
        except ValueError:
            return
        if isinstance(event, dict):
            self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
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
            self._item(kind, event["item"])

    def _item(self, kind: str, item: dict[str, Any]) -> None:
        said = item.get("type")
        if said == "agent_message" and kind == "item.completed":
            self.message = _text(item.get("text"))
        elif self.on_action is not None and said == "command_execution" and kind == "item.started":
            self.on_action(_line(_text(item.get("command"))))
        elif self.on_action is not None and said == "file_change" and kind == "item.completed":
            changes = [each for each in item.get("changes") or () if isinstance(each, dict)]
            for change in changes:
                self.on_action(_line(f"{_text(change.get('kind'))} {_text(change.get('path'))}"))


def judge(done: Finished, events: Events) -> None:
    """Refuse a run of codex that did not end well.

    Raises:
        PlannerError: E_DEADLINE, or a code of FAILURES, else E_CODEX_FAILED.
    """
    if done.timed_out:
        raise PlannerError(
            "E_DEADLINE",
            f"codex was ended after {done.seconds:.0f} s, when its time ran out",
            hint="give it more time in the policy's 'agents', or look at 'codex doctor'",
            details=events.errors[-3:] or ["codex had nothing to say: the service never answered"],
        )
    if done.status == 0 and events.completed and events.failure is None:
        return
    said = events.failure or _said(done.stderr) or (events.errors[-1] if events.errors else "")
    if events.failure is None and events.thread is None and done.status != 0:
        code = classify(said, before_start=True)
    else:
        code = classify(said)
    words = _line(_unwrapped(said)) or f"it ended with status {done.status} and said nothing"
    raise PlannerError(code, f"codex failed: {words}", hint=HINTS[code], details=_tail(done.stderr))


def classify(said: str, *, before_start: bool = False) -> str:
    """The error code of what codex said.

    Args:
        said: its last words.
        before_start: whether it ended before it began a turn; then what is not known is its configuration.
    """
    for code, pattern in FAILURES:
        if re.search(pattern, said, re.IGNORECASE):
            return code
    return "E_CODEX_CONFIG" if before_start else "E_CODEX_FAILED"


def _unwrapped(said: str) -> str:
    """The message of an error that came as the service's JSON body."""
    try:
        error = json.loads(said).get("error")
    except (ValueError, AttributeError):
        return said
    return (_text(error.get("message")) if isinstance(error, dict) else _text(error)) or said


def _usage(document: Any) -> Usage:
    given = document if isinstance(document, dict) else {}
    counts = [given.get(name) for name in ("input_tokens", "output_tokens")]
    return Usage(*(each if isinstance(each, int) else 0 for each in counts))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _line(text: str) -> str:
    first = " ".join(text.split())
    return first if len(first) <= _MOST else first[: _MOST - 1] + "…"


def _said(stderr: bytes) -> str:
    """The last thing on stderr that is a failure: the line with 'error' in it, else the last one."""
    lines = _tail(stderr)
    wrong = [each for each in lines if each.lower().startswith("error")]
    return (wrong or lines or [""])[-1]


def _tail(stderr: bytes) -> Sequence[str]:
    lines = [_line(each) for each in stderr.decode(errors="replace").splitlines() if each.strip()]
    return [each for each in lines if not each.startswith("Reading additional input")][-20:]
