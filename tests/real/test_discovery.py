"""The real codex and gemini before a plan: research, options, reviews, a choice; gemini's failures.

A run of gemini takes about four seconds, so these tests cover only what recorded output cannot.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_planner.agents.answer_loop import Reply
from git_planner.agents.confinement import confine
from git_planner.agents.contract import WritingRequest
from git_planner.agents.gemini import GeminiTransport
from git_planner.errors import PlannerError
from tests.agents.cases import policy as agents_policy
from tests.agents.cases import variables
from tests.discovery.scripted_agents import FINDINGS, options, review, shown
from tests.real.conftest import Place
from tests.support.servers import gemini as stub
from tests.support.servers import openai_responses
from tests.support.servers.gemini import gemini_home
from tests.support.servers.openai_responses import codex_home
from tests.support.workshop import FILES, POLICY

pytestmark = pytest.mark.real

AGENTS = "agents: {planner: codex, researcher: codex, models: {planner: gpt-5.5, researcher: gpt-5.5}}\n"


@contextlib.contextmanager
def agents(
    place: Place, codex: Path, gemini: Path, turns: list[openai_responses.Turn], *replies: stub.Reply
) -> Iterator[stub.Server]:
    """Provide both clients, each with its own loopback server, to the commands of the block."""
    lab = place.lab
    with openai_responses.serving(*turns) as service, stub.serving(*replies) as server:
        codex_home(place.folder / "codex", service.port)
        before = dict(lab.env)
        lab.env |= gemini_home(lab.home, server.port)
        lab.env |= {
            "STUB_API_KEY": "stub-key",
            "GIT_PLANNER_CODEX": str(codex),
            "GIT_PLANNER_CODEX_HOME": str(place.folder / "codex"),
            "GIT_PLANNER_GEMINI": str(gemini),
        }
        try:
            yield server
        finally:
            lab.env.clear()
            lab.env.update(before)


def test_from_research_to_tasks(place: Place, codex: Path, gemini: Path) -> None:
    lab = place.lab
    policy = POLICY[: POLICY.index("agents:")] + AGENTS
    lab.commit("a number, its tests and its policy", {**FILES, ".git-planner.yml": policy})
    turns = [
        openai_responses.runs("cat src/size.txt; echo mine > src/size.txt"),
        openai_responses.says(FINDINGS),
        openai_responses.answers(options()),
        openai_responses.says(review()),
    ]
    cut = stub.says(review()[:-20], "MAX_TOKENS")
    with agents(place, codex, gemini, turns, cut, stub.says(review())) as server, lab.undisturbed():
        for argv in (
            ["research", "--goal-text", "make the number smaller", "--json"],
            ["options", "--draft", "--json"],
            ["critique", "--json"],
            ["critique", "--critic", "codex", "--json"],
            ["choose", "B", "--json"],
        ):
            ran = lab.spawn("git-plan", *argv)
            assert ran.status == 0, ran.err
            done = json.loads(ran.out)
    assert FINDINGS.strip() in shown(lab, "research/RESEARCH.md")
    assert server.script.models == ["gemini-3.1-pro-preview"] * 2
    assert server.script.keys == ["stub-key"] * 2
    first, second = server.script.prompts()
    assert "## Option B: way B" in first
    assert "The number is in `src/size.txt`" in first
    assert "so the review was cut off" in second
    kept = shown(lab, "preplan/GEMINI_PLAN_REVIEW.md")
    assert "- Critic: gemini, model `gemini-3.1-pro-preview`" in kept
    assert "This is about option c review." in kept
    assert "- Critic: codex" in shown(lab, "preplan/CODEX_PLAN_REVIEW.md")
    assert [task["title"] for task in done["tasks"]] == ["Shrink it once more, 1", "Shrink it once more, 2"]
    assert [critique["current"] for critique in done["choice"]["reviews"]] == [True, True]
    assert leftovers(place) == []
    assert place.processes() == []
    lab.fsck()


def leftovers(place: Place) -> list[str]:
    """Return the files left in the temporary folder, except those of codex's sandbox."""
    return [name for name in place.leftovers() if not name.startswith("codex-")]


def ask(place: Place, gemini: Path, reply: stub.Reply, seconds: float = 30) -> Reply:
    """Run gemini once with a scripted reply."""
    folder = place.folder / "asked"
    writing_request = WritingRequest(
        "review", "Review this.", lambda _: [], folder, folder, seconds, "gemini-3-pro-preview"
    )
    with stub.serving(reply) as server:
        env = {**place.lab.env, **gemini_home(place.lab.home, server.port)}
        with variables(**env):
            jail = confine(place.lab.repo, agents_policy("{sandbox: required}"))
            return GeminiTransport(str(gemini), jail).ask(writing_request)


FAILURES = {
    "safety": (stub.ends("SAFETY"), "E_GEMINI_BLOCKED", "SAFETY_BLOCKED"),
    "blocked prompt": (stub.blocks(), "E_GEMINI_BLOCKED", "NO_FINISH_REASON"),
    "404": (stub.fails(404, "NOT_FOUND", "models/x is not found"), "E_GEMINI_REQUEST", "is not found"),
    "daily quota": (stub.spent(), "E_GEMINI_QUOTA", "exhausted your daily quota"),
    "500": (stub.fails(500, "INTERNAL"), "E_GEMINI_SERVER", "stub says 500"),
    "cut": (stub.cuts(), "E_GEMINI_STREAM", "terminated"),
    "400": (stub.fails(400, "INVALID_ARGUMENT"), "E_GEMINI_REQUEST", "stub says 400"),
    "401": (stub.fails(401, "UNAUTHENTICATED"), "E_GEMINI_AUTH", "stub says 401"),
    "403": (stub.fails(403, "PERMISSION_DENIED"), "E_GEMINI_AUTH", "stub says 403"),
    "garbled": (stub.chunk("{not json"), "E_GEMINI_STREAM", "JSON"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_of_gemini_ends_as_documented(place: Place, gemini: Path, name: str) -> None:
    reply, code, message = FAILURES[name]
    with pytest.raises(PlannerError) as caught:
        ask(place, gemini, reply)
    assert caught.value.code == code, caught.value.message
    assert message in caught.value.message
    assert leftovers(place) == []


def test_a_service_that_never_answers_ends_with_the_deadline(place: Place, gemini: Path) -> None:
    began = time.monotonic()
    with pytest.raises(PlannerError) as caught:
        ask(place, gemini, stub.never_answers(), seconds=5)
    assert caught.value.code == "E_DEADLINE"
    assert time.monotonic() - began < 60
    assert place.processes() == []
