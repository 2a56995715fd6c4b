"""What codex says, read from lines that the real one printed, and what its failures are called."""

from __future__ import annotations

import json

import pytest

from git_planner.agents.codex.events import FAILURES, HINTS, CodexEvents, check_outcome, classify_failure
from git_planner.agents.contract import Usage
from git_planner.errors import CODES, PlannerError
from git_planner.host.process import Finished


def events(*lines: object) -> CodexEvents:
    made = CodexEvents()
    for line in lines:
        made.read_line(line if isinstance(line, bytes) else json.dumps(line).encode())
    return made


def finished(status: int = 0, stderr: str = "", *, timed_out: bool = False) -> Finished:
    return Finished(("codex",), status, b"", stderr.encode(), 3.2, timed_out, truncated=False)


def failure(made: CodexEvents, done: Finished) -> PlannerError:
    with pytest.raises(PlannerError) as caught:
        check_outcome(done, made)
    return caught.value


STARTED = {"type": "thread.started", "thread_id": "t-1"}
USAGE = {"input_tokens": 100, "cached_input_tokens": 10, "output_tokens": 20, "reasoning_output_tokens": 5}
COMPLETED = {"type": "turn.completed", "usage": USAGE}


def test_a_turn_that_ended_well() -> None:
    made = events(
        STARTED,
        {"type": "turn.started"},
        {"type": "item.completed", "item": {"type": "agent_message", "text": "first"}},
        {"type": "item.completed", "item": {"type": "error", "message": "Model metadata for `x` not found"}},
        {"type": "error", "message": "Reconnecting... 1/5 (status 500)"},
        {"type": "item.completed", "item": {"type": "agent_message", "text": "last"}},
        COMPLETED,
    )
    check_outcome(finished(), made)
    assert (made.thread, made.message, made.usage, made.completed) == ("t-1", "last", Usage(100, 20), True)


def test_the_last_usage_counts_not_the_sum() -> None:
    later = {"type": "turn.completed", "usage": {**USAGE, "input_tokens": 250}}
    assert events(COMPLETED, later).usage == Usage(250, 20)


def test_actions_are_told() -> None:
    told: list[str] = []
    made = CodexEvents(on_action=told.append)
    for item in (
        {"type": "item.started", "item": {"type": "command_execution", "command": "ls\n  -l"}},
        {"type": "item.completed", "item": {"type": "command_execution", "command": "ls\n  -l"}},
        {
            "type": "item.completed",
            "item": {"type": "file_change", "changes": [{"path": "a.py", "kind": "update"}, None]},
        },
    ):
        made.read_line(json.dumps(item).encode())
    assert told == ["ls -l", "update a.py"]


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
def test_a_line_that_is_no_event_does_no_harm(line: bytes) -> None:
    made = CodexEvents(on_action=lambda _: None)
    made.read_line(line)
    assert (made.thread, made.message, made.usage, made.failure) == (None, "", Usage(), None)


# Message of codex 0.169.0 for what a service did -> code.
SAID = {
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


@pytest.mark.parametrize(("said", "code"), SAID.items())
def test_a_failed_turn_is_named(said: str, code: str) -> None:
    made = events(
        STARTED, {"type": "error", "message": said}, {"type": "turn.failed", "error": {"message": said}}
    )
    error = failure(made, finished(1))
    words = "Invalid schema for response_format" if said.startswith("{") else said
    assert (error.code, error.message, error.hint) == (code, f"codex failed: {words}", HINTS[code])


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
        ("", "E_CODEX_CONFIG", "codex failed: it ended with status 2 and said nothing"),
    ],
)
def test_an_end_before_the_beginning_is_its_configuration(stderr: str, code: str, message: str) -> None:
    error = failure(CodexEvents(), finished(2, stderr))
    assert (error.code, error.message) == (code, message)


def test_an_end_without_a_completed_turn_is_a_failure() -> None:
    error = failure(events(STARTED), finished())
    assert (error.code, error.message) == (
        "E_CODEX_FAILED",
        "codex failed: it ended with status 0 and said nothing",
    )


def test_the_deadline_goes_before_everything() -> None:
    made = events(STARTED, {"type": "error", "message": "Reconnecting... 2/5"})
    error = failure(made, finished(-15, timed_out=True))
    assert (error.code, error.details) == ("E_DEADLINE", ("Reconnecting... 2/5",))
    assert error.message == "codex was ended after 3 s, when its time ran out"
    silent = failure(events(STARTED), finished(-15, timed_out=True))
    assert silent.details == ("codex had nothing to say: the service never answered",)


def test_every_code_has_a_hint_and_a_meaning() -> None:
    codes = {code for code, _ in FAILURES} | {"E_CODEX_FAILED"}
    assert codes == HINTS.keys()
    assert codes <= CODES.keys()
    assert classify_failure("who knows") == "E_CODEX_FAILED"
