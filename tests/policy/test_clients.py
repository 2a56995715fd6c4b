"""Clients of sessions, named in the policy."""

from __future__ import annotations

import json

import pytest

from git_planner.agents.interactive.clients import CODEX, find_client
from git_planner.config.policy_file import parse_policy
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.rules.policy.interactive_client import (
    ClientRequest,
    InteractiveClient,
    ThreadFiles,
    TrustPrompt,
)
from tests.support.lab import Lab

HEAD = "schema: git-planner/policy@1\ncorrectness: {run: [make, test]}\n"
CLIENT = """clients:
- name: tool
  start: [tool, chat, [--model, "{model}"], "--sandbox={sandbox}", [--id, "{new_thread}"], "{prompt}"]
  resume: [tool, chat, --id, "{thread}", "{prompt}"]
  headless: [tool, run, "{prompt}"]
  thread: {files: [$TOOL_HOME/s/*.json, "~/.tool/s/*.json"], id: '"id": "(\\w+)"'}
  quit: /exit
  quit_seconds: 3
  trust: [{screen: ['Trust \\S+\\?', '1\\. Yes'], keys: [Down, "y"]}, {screen: [Again]}]
  asks: [['1[.] Yes', Enter], [Sure]]
- name: other
  start: [other]
"""


def test_a_client_of_the_policy(lab: Lab) -> None:
    policy = parse_policy((HEAD + CLIENT).encode(), "p.yml")
    tool, other = policy.clients
    assert tool == InteractiveClient(
        name="tool",
        program="tool",
        start=(
            *("tool", "chat", ("--model", "{model}"), "--sandbox={sandbox}"),
            *(("--id", "{new_thread}"), "{prompt}"),
        ),
        resume=("tool", "chat", "--id", "{thread}", "{prompt}"),
        headless=("tool", "run", "{prompt}"),
        threads=ThreadFiles(("$TOOL_HOME/s/*.json", "~/.tool/s/*.json"), r'"id": "(\w+)"'),
        trust=(TrustPrompt((r"Trust \S+\?", r"1\. Yes"), ("Down", "y")), TrustPrompt(("Again",), ("Enter",))),
        asks=(("1[.] Yes", "Enter"), ("Sure",)),
        quit="/exit",
        quit_seconds=3.0,
    )
    assert (tool.chooses_thread, other.chooses_thread) == (True, False)
    request = ClientRequest("/w", prompt="do {it}", sandbox="read-only", thread="t1")
    assert tool.start_argv(request) == ("tool", "chat", "--sandbox=read-only", "--id", "t1", "do {it}")
    assert [client.sandbox_in_force(request) for client in policy.clients] == ["read-only", "unknown"]
    settings = read_settings(lab.repo, codex="/opt/codex")
    assert find_client("tool", policy, settings) is tool
    codex = find_client("codex", policy, settings)
    assert (codex.program, codex.start) == ("/opt/codex", CODEX.start)
    with pytest.raises(PlannerError, match="'emacs' is not a client of sessions") as refused:
        find_client("emacs", policy, settings)
    assert refused.value.code == "E_AGENT"
    assert "tool, other" in str(refused.value.hint)


def test_a_client_of_the_policy_replaces_a_preset(lab: Lab) -> None:
    policy = parse_policy(f"{HEAD}clients: [{{name: codex, start: [mine]}}]\n".encode(), "p.yml")
    assert find_client("codex", policy, read_settings(lab.repo)).start == ("mine",)


@pytest.mark.parametrize(
    ("client", "problem"),
    [
        ({"name": "a"}, "start"),
        ({"name": "A b", "start": ["x"]}, "name"),
        ({"name": "a", "start": []}, "start"),
        ({"name": "a", "start": [["x", ["y"]]]}, "start"),
        ({"name": "a", "start": ["x", "{promt}"]}, "/clients/0/start: '{promt}' is not a placeholder"),
        ({"name": "a", "start": ["x"], "resume": ["x"]}, "does not name the '{thread}' to resume"),
        ({"name": "a", "start": ["x"], "quit": "/quit\n"}, "quit"),
        ({"name": "a", "start": ["x"], "thread": {"files": ["s/*"], "id": "(x)"}}, "files"),
        ({"name": "a", "start": ["x"], "thread": {"files": ["~/s/*"], "id": "x"}}, "has 0 groups"),
        (
            {"name": "a", "start": ["x"], "thread": {"files": ["~/s/*"], "id": "(x"}},
            "not a regular expression",
        ),
        ({"name": "a", "start": ["x"], "trust": [{"screen": ["("]}]}, "not a regular expression"),
        ({"name": "a", "start": ["x"], "asks": [["x", "("]]}, "/clients/0/asks/0/1: is not a regular"),
        ({"name": "a", "start": ["x"], "trust": [{"screen": ["x"], "keys": ["C-c"]}]}, "keys"),
        ({"name": "a", "start": ["x"], "yolo": True}, "yolo"),
    ],
)
def test_a_wrong_client_is_refused(client: object, problem: str) -> None:
    with pytest.raises(PlannerError) as refused:
        parse_policy(f"{HEAD}clients: {json.dumps([client])}\n".encode(), "p.yml")
    assert refused.value.code == "E_POLICY"
    assert problem in "\n".join((refused.value.message, *refused.value.details))


def test_names_of_clients_are_unique() -> None:
    with pytest.raises(PlannerError, match="'a' is the name of an earlier client"):
        parse_policy(f"{HEAD}clients: [{{name: a, start: [x]}}, {{name: a, start: [y]}}]\n".encode(), "p.yml")
