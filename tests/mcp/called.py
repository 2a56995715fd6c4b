"""Calls of tools in this process, and clients of a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from git_planner import cli
from git_planner.mcp.calls import answer_request
from tests.support.lab import Lab


def ask(lab: Lab, request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request, which is given once."""
    answers: list[bytes] = []
    lab.state = None
    with lab.entered():
        answer_request(cli.main, json.dumps(request).encode(), answers.append)
    (answer,) = answers
    document: dict[str, Any] = json.loads(answer)
    return document


def call(lab: Lab, tool: str, path: Path | str | None = None, **arguments: Any) -> dict[str, Any]:
    """Return the outcome of a call of a tool in a repository."""
    return ask(lab, {"tool": tool, "arguments": {"repo_path": str(path or lab.path), **arguments}})


def result(lab: Lab, tool: str, path: Path | str | None = None, **arguments: Any) -> dict[str, Any]:
    """Return the result of a call that succeeds."""
    outcome = call(lab, tool, path, **arguments)
    assert "error" not in outcome, outcome["error"]
    document: dict[str, Any] = outcome["result"]
    return document


def refusal(lab: Lab, tool: str, path: Path | str | None = None, **arguments: Any) -> tuple[str, str]:
    """Return code and message of a call that is refused; it has a hint."""
    error = call(lab, tool, path, **arguments)["error"]
    assert error["hint"]
    return error["code"], error["message"]
