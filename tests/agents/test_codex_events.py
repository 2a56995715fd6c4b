"""Event stream of codex, with lines as codex prints them, and the error codes of its failures."""

from __future__ import annotations

import json

import pytest

from git_planner.agents.codex.events import FAILURES, HINTS, CodexEvents, check_outcome, classify_failure
from git_planner.agents.contract import Usage
from git_planner.errors import CODES, PlannerError
from git_planner.host.process import Finished


def events(*lines: object) -> CodexEvents:
    stream = CodexEvents()
    for line in lines:
        stream.read_line(line if isinstance(line, bytes) else json.dumps(line).encode())
    return stream


def finished(status: int = 0, stderr: str = "", *, timed_out: bool = False) -> Finished:
    return Finished(("codex",), status, b"", stderr.encode(), 3.2, timed_out, truncated=False)


def failure(stream: CodexEvents, done: Finished) -> PlannerError:
    with pytest.raises(PlannerError) as caught:
        check_outcome(done, stream)
    return caught.value


STARTED = {"type": "thread.started", "thread_id": "t-1"}
USAGE = {"input_tokens": 100, "cached_input_tokens": 10, "output_tokens": 20, "reasoning_output_tokens": 5}
COMPLETED = {"type": "turn.completed", "usage": USAGE}


def test_a_completed_turn() -> None:
    stream = events(
        STARTED,
        {"type": "turn.started"},
        {"type": "item.completed", "item": {"type": "agent_message", "text": "first"}},
        {"type": "item.completed", "item": {"type": "error", "message": "Model metadata for `x` not found"}},
        {"type": "error", "message": "Reconnecting... 1/5 (status 500)"},
        {"type": "item.completed", "item": {"type": "agent_message", "text": "last"}},
        COMPLETED,
    )
    check_outcome(finished(), stream)
    assert (stream.thread, stream.message, stream.usage, stream.completed) == (
        "t-1",
        "last",
        Usage(100, 20),
        True,
    )


def test_the_last_usage_counts_not_the_sum() -> None:
    later = {"type": "turn.completed", "usage": {**USAGE, "input_tokens": 250}}
    assert events(COMPLETED, later).usage == Usage(250, 20)


def test_actions_are_reported() -> None:
    actions: list[str] = []
    stream = CodexEvents(on_action=actions.append)
    for item in (
        {"type": "item.started", "item": {"type": "command_execution", "command": "ls\n  -l"}},
        {"type": "item.completed", "item": {"type": "command_execution", "command": "ls\n  -l"}},
        {
            "type": "item.completed",
            "item": {"type": "file_change", "changes": [{"path": "a.py", "kind": "update"}, None]},
        },
    ):
        stream.read_line(json.dumps(item).encode())
    assert actions == ["ls -l", "update a.py"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[1]",
        b"null",
        b'{"type": 3}',
        b'{"type": "turn.completed", "usage": [1]}',
        b'{"type": "item.completed", "item": "x"}',
        b'{"type": "item.completed", "item": {"type": "file_change"}}',
    ],
)
def test_lines_that_are_not_events_are_ignored(line: bytes) -> None:
    stream = CodexEvents(on_action=lambda _: None)
    stream.read_line(line)
    assert (stream.thread, stream.message, stream.usage, stream.failure) == (None, "", Usage(), None)


# Failure message of codex 0.169.0 -> error code.
FAILURE_MESSAGES = {
    "unexpected status 401 Unauthorized: no, url: http://127.0.0.1:1/v1/responses": "E_CODEX_AUTH",
    "unexpected status 403 Forbidden: no, url: http://127.0.0.1:42900/v1/responses": "E_CODEX_AUTH",
    "Missing environment variable: `STUB_API_KEY`.": "E_CODEX_AUTH",
    "Your access token could not be refreshed. Please log out and sign in again.": "E_CODEX_AUTH",
    "unexpected status 404 Not Found: no, url: http://127.0.0.1:1/v1/responses": "E_CODEX_REQUEST",
    '{"error": {"message": "Invalid schema for response_format"}}': "E_CODEX_REQUEST",
    "exceeded retry limit, last status: 429 Too Many Requests": "E_CODEX_RATE",
    "rate limit exceeded: Rate limit, try again in 1.5s": "E_CODEX_RATE",
    "You\u2019ve hit your usage limit. Try again later.": "E_CODEX_QUOTA",
    "Quota exceeded. Check your plan and billing details.": "E_CODEX_QUOTA",
    "We\u2019re currently experiencing high demand, which may cause temporary errors.": "E_CODEX_SERVER",
    "unexpected status 503 Service Unavailable: no": "E_CODEX_SERVER",
    "exceeded retry limit, last status: 502 Bad Gateway": "E_CODEX_SERVER",
    "stream disconnected before completion: stream closed before response.completed": "E_CODEX_STREAM",
    "stream disconnected before completion: idle timeout waiting for SSE": "E_CODEX_STREAM",
    "Codex ran out of room in the model's context window. Start a new thread": "E_CODEX_REQUEST",
    "Incomplete response returned, reason: max_output_tokens": "E_CODEX_INCOMPLETE",
    "Connection failed: error sending request": "E_CODEX_NETWORK",
    "bad prompt": "E_CODEX_FAILED",
}


@pytest.mark.parametrize(("message", "code"), FAILURE_MESSAGES.items())
def test_a_failed_turn_has_its_code(message: str, code: str) -> None:
    stream = events(
        STARTED,
        {"type": "error", "message": message},
        {"type": "turn.failed", "error": {"message": message}},
    )
    error = failure(stream, finished(1))
    reason = "Invalid schema for response_format" if message.startswith("{") else message
    assert (error.code, error.message, error.hint) == (code, f"codex failed: {reason}", HINTS[code])


@pytest.mark.parametrize(
    ("stderr", "code", "message"),
    [
        (
            "Not inside a trusted directory and --skip-git-repo-check was not specified.",
            "E_CODEX_CONFIG",
            "codex failed: Not inside a trusted directory and --skip-git-repo-check was not specified.",
        ),
        (
            "Reading additional input from stdin...\nError: failed to parse\nsomething\n",
            "E_CODEX_CONFIG",
            "codex failed: Error: failed to parse",
        ),
        ("", "E_CODEX_CONFIG", "codex failed: it exited with status 2 without a message"),
    ],
)
def test_an_exit_before_the_first_turn_is_a_configuration_error(stderr: str, code: str, message: str) -> None:
    error = failure(CodexEvents(), finished(2, stderr))
    assert (error.code, error.message) == (code, message)


def test_an_end_without_a_completed_turn_is_a_failure() -> None:
    error = failure(events(STARTED), finished())
    assert (error.code, error.message) == (
        "E_CODEX_FAILED",
        "codex failed: it exited with status 0 without a message",
    )


def test_the_deadline_takes_precedence() -> None:
    stream = events(STARTED, {"type": "error", "message": "Reconnecting... 2/5"})
    error = failure(stream, finished(-15, timed_out=True))
    assert (error.code, error.details) == ("E_DEADLINE", ("Reconnecting... 2/5",))
    assert error.message == "codex reached its deadline and was ended after 3 s"
    silent = failure(events(STARTED), finished(-15, timed_out=True))
    assert silent.details == ("codex printed no error: the service never answered",)


def test_every_code_has_a_hint_and_a_meaning() -> None:
    codes = {code for code, _ in FAILURES} | {"E_CODEX_FAILED"}
    assert codes == HINTS.keys()
    assert codes <= CODES.keys()
    assert classify_failure("who knows") == "E_CODEX_FAILED"
