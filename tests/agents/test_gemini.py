"""Answers and failures of gemini, as version 0.61.0 prints them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from git_planner.agents.gemini import parse_answer
from git_planner.errors import PlannerError
from git_planner.host.process import Finished

NOISE = (
    "Warning: 256-color support not detected. At least 256-color support is recommended.\n"
    "Ripgrep is not available. Falling back to GrepTool.\n"
)
TRACE = "Error when talking to Gemini API\n    at async main (file:///x.js:1:2) {\n  status: 500\n}\n"


def finished(status: int, stdout: Any = "", stderr: str = "", *, timed_out: bool = False) -> Finished:
    text = stdout if isinstance(stdout, str) else json.dumps(stdout)
    return Finished(("gemini",), status, text.encode(), (NOISE + stderr).encode(), 4.0, timed_out, False)


def answer(response: Any, *, reasons: tuple[str, ...] = (), model: str = "gemini-3.1-pro-preview") -> Any:
    tokens = {"input": 100, "prompt": 100, "candidates": 20, "total": 120}
    api = {"totalRequests": 1, "totalErrors": len(reasons), "errorsByType": dict.fromkeys(reasons, 1)}
    stats = {"models": {model: {"api": api, "tokens": tokens, "roles": {"main": {}}}}}
    return {"session_id": "s", "response": response, "stats": stats}


def failure(status: int, message: str, code: int | str, before: str = TRACE) -> Finished:
    error = {"session_id": "s", "error": {"type": "Error", "message": message, "code": code}}
    return finished(status, "", before + json.dumps(error, indent=2) + "\n")


def refused(done: Finished) -> PlannerError:
    with pytest.raises(PlannerError) as caught:
        parse_answer(done, ["gemini"])
    return caught.value


def test_an_answer() -> None:
    reply = parse_answer(finished(0, answer("## Summary")), ["gemini", "-p"])
    assert (reply.text, reply.model) == ("## Summary", "gemini-3.1-pro-preview")
    assert (reply.usage.input, reply.usage.output) == (100, 20)
    assert reply.command == ("gemini", "-p")


def test_helper_models_are_not_the_answering_model() -> None:
    document = answer("## Summary")
    helper = {"api": {}, "tokens": {"prompt": 5, "candidates": 5}, "roles": {"utility_router": {}}}
    document["stats"]["models"]["gemini-3.5-flash-lite"] = helper
    assert parse_answer(finished(0, document), []).model == "gemini-3.1-pro-preview"
    document["stats"]["models"]["gemini-3.5-flash-lite"] = {**helper, "roles": {"main": {}}}
    model = parse_answer(finished(0, document), []).model
    assert model == "gemini-3.1-pro-preview and gemini-3.5-flash-lite"


@pytest.mark.parametrize(
    ("done", "code"),
    [
        (finished(0, answer("", reasons=("SAFETY_BLOCKED",))), "E_GEMINI_BLOCKED"),
        (finished(0, answer("", reasons=("NO_FINISH_REASON",))), "E_GEMINI_BLOCKED"),
        (finished(0, answer("", reasons=("NO_RESPONSE_TEXT",))), "E_GEMINI_EMPTY"),
        (finished(0, answer(" \n")), "E_GEMINI_EMPTY"),
        (finished(0, answer(None)), "E_GEMINI_EMPTY"),
        (finished(0, {"response": 5, "stats": {"models": ["x"]}}), "E_GEMINI_EMPTY"),
        (finished(0, []), "E_GEMINI_EMPTY"),
        (finished(0, "hello"), "E_GEMINI_FAILED"),
        (finished(0, ""), "E_GEMINI_FAILED"),
        (failure(144, "bad", 400), "E_GEMINI_REQUEST"),
        (failure(145, "no", 401), "E_GEMINI_AUTH"),
        (failure(147, "no", 403), "E_GEMINI_AUTH"),
        (failure(173, "You have exhausted your daily quota on this model.", 429), "E_GEMINI_QUOTA"),
        (failure(173, "slow down", 429), "E_GEMINI_QUOTA"),
        (failure(244, "stub says 500", 500), "E_GEMINI_SERVER"),
        (failure(247, "stub says 503", 503), "E_GEMINI_SERVER"),
        (finished(247, "", "no document\n"), "E_GEMINI_SERVER"),
        (failure(1, "models/x is not found", 1), "E_GEMINI_REQUEST"),
        (failure(1, "Unexpected token '<', \"<html>\" is not valid JSON", 1), "E_GEMINI_STREAM"),
        (failure(1, "terminated", 1), "E_GEMINI_STREAM"),
        (failure(1, "fetch failed", 1, "connect ECONNREFUSED 127.0.0.1:1\n"), "E_GEMINI_NETWORK"),
        (failure(41, "Invalid auth method selected.", 41), "E_GEMINI_AUTH"),
        (failure(55, "Gemini CLI is not running in a trusted directory.", 55), "E_GEMINI_CONFIG"),
        (finished(1, "", "Unknown argument: --x\n"), "E_GEMINI_CONFIG"),
        (finished(-9, "", ""), "E_GEMINI_FAILED"),
        (finished(3, "", "\n{\n[1]"), "E_GEMINI_FAILED"),
        (finished(0, "", timed_out=True), "E_DEADLINE"),
    ],
)
def test_each_failure_has_its_code(done: Finished, code: str) -> None:
    error = refused(done)
    assert error.code == code
    assert error.hint
    assert not any(line.startswith(("at ", "Warning")) for line in error.details)


def test_the_message_of_the_service_is_shown() -> None:
    body = json.dumps({"error": {"code": 401, "status": "UNAUTHENTICATED", "message": "API key not valid"}})
    assert refused(failure(145, body, 401)).message == "gemini failed: API key not valid"
    assert "(SAFETY_BLOCKED)" in refused(finished(0, answer("", reasons=("SAFETY_BLOCKED",)))).message
