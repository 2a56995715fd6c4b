"""Attempt loop of planners: retries, faults sent back, giving up, and kept files."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from git_planner.agents.answer_loop import PlanningAgent, Reply, Turn
from git_planner.agents.command import CommandTransport
from git_planner.agents.contract import Usage
from git_planner.agents.templates import read_template
from git_planner.errors import CODES, PlannerError
from git_planner.rules.iterations.stop import TRANSIENT_AGENT_CODES
from git_planner.rules.policy.policy import Program
from tests.agents.cases import DIRECTIVE, UNCONFINED, Progress, outcome, request
from tests.support.signalling import signal_once_written

GOOD = json.dumps(DIRECTIVE)
BAD = json.dumps({**DIRECTIVE, "risk": "low", "step_plan": ["one", " "]})


class Scripted:
    """A transport with scripted answers and errors."""

    name = "scripted"

    def __init__(self, *script: str | PlannerError) -> None:
        self.script: Sequence[str | PlannerError] = script
        self.turns: list[Turn] = []
        # Passes the time that an answer takes.
        self.take_time: Callable[[], None] = lambda: None

    def ask(self, turn: Turn) -> Reply:
        self.turns.append(turn)
        self.take_time()
        answer = self.script[len(self.turns) - 1]
        if isinstance(answer, PlannerError):
            raise answer
        return Reply(answer, model="m", usage=Usage(100, 10), command=("ask",), thread="t")


def failure(code: str) -> PlannerError:
    return PlannerError(code, "it failed", hint="try 'again'")


def test_an_accepted_answer(tmp_path: Path) -> None:
    transport = Scripted("I thought about it.\n```json\n" + GOOD + "\n```")
    planning_request = request(tmp_path)
    done = PlanningAgent(transport).plan(planning_request, Progress().append)
    assert done.document == DIRECTIVE
    assert (done.model, done.attempts, done.usage, done.command) == ("m", 1, Usage(100, 10), ("ask",))
    assert transport.turns[0].prompt == planning_request.prompt
    assert 0 < transport.turns[0].seconds <= planning_request.seconds
    assert outcome(planning_request.folder, 1) == {
        "result": "accepted",
        "attempt": 1,
        "model": "m",
        "thread": "t",
        "usage": {"input": 100, "output": 10},
    }


def test_a_missing_schema_key_is_added_and_nothing_else(tmp_path: Path) -> None:
    bare = {name: value for name, value in DIRECTIVE.items() if name != "schema"}
    assert (
        PlanningAgent(Scripted(json.dumps(bare))).plan(request(tmp_path), Progress().append).document
        == DIRECTIVE
    )


def test_faults_are_fed_back_with_the_answer(tmp_path: Path) -> None:
    transport, planning_request, progress = Scripted(BAD, GOOD), request(tmp_path), Progress()
    done = PlanningAgent(transport, backoff=60).plan(planning_request, progress.append)
    assert (done.attempts, done.usage) == (2, Usage(200, 20))
    second = transport.turns[1].prompt
    assert second.startswith(planning_request.prompt.rstrip() + "\n\n## Your last answer was refused\n")
    assert f"```\n{BAD}\n```" in second
    assert "- /risk: must be one of" in second
    assert "- /step_plan: " in second
    assert outcome(planning_request.folder, 1)["result"] == "refused"
    assert outcome(planning_request.folder, 1)["code"] == "E_ANSWER"
    assert (planning_request.folder / "attempt-2" / "prompt.md").read_text() == second
    assert progress[1].startswith("attempt 1 gave no plan: the planner's answer was refused: /risk: ")


@pytest.mark.parametrize(
    "answer",
    [
        "I would schedule the loads first.",
        "",
        "{}",
        "[1, 2]",
        GOOD[:-20],
        GOOD.replace('"Low"', "NaN"),
        GOOD.replace('"risk": "Low"', '"risk": "Low", "risk": "High"'),
        json.dumps({**DIRECTIVE, "strategy_family": "family:reduce_loads"}),
        json.dumps({**DIRECTIVE, "expected_effect": True}),
        json.dumps({**DIRECTIVE, "extra": 1}),
    ],
    ids=["prose", "nothing", "empty", "list", "cut", "nan", "twice", "blocked", "bool", "extra"],
)
def test_an_invalid_answer_is_refused(tmp_path: Path, answer: str) -> None:
    with pytest.raises(PlannerError) as caught:
        PlanningAgent(Scripted(answer)).plan(request(tmp_path, attempts=1), Progress().append)
    assert caught.value.code == "E_ANSWER"
    assert caught.value.details
    assert caught.value.message == f"the planner's answer was refused: {caught.value.details[0]}"


def test_gives_up_after_the_attempts_and_says_why(tmp_path: Path) -> None:
    transport = Scripted(*[BAD] * 3)
    with pytest.raises(PlannerError, match=r"/risk.*\(after 3 attempts\)$") as caught:
        PlanningAgent(transport).plan(request(tmp_path), Progress().append)
    assert caught.value.code == "E_ANSWER"
    assert len(caught.value.details) == 3
    assert len(transport.turns) == 3
    # The prompt does not grow from refusal to refusal.
    assert transport.turns[1].prompt == transport.turns[2].prompt


@pytest.mark.parametrize("code", sorted(TRANSIENT_AGENT_CODES))
def test_a_transient_failure_is_retried(tmp_path: Path, code: str) -> None:
    transport = Scripted(failure(code), GOOD)
    assert PlanningAgent(transport, backoff=0.01).plan(request(tmp_path), Progress().append).attempts == 2
    assert transport.turns[0].prompt == transport.turns[1].prompt


@pytest.mark.parametrize(
    "code",
    [
        "E_MISSING_TOOL",
        "E_CODEX_AUTH",
        "E_CODEX_QUOTA",
        "E_CODEX_CONFIG",
        "E_CODEX_REQUEST",
        "E_POLICY",
        "E_DEADLINE",
    ],
)
def test_a_permanent_failure_is_not_retried(tmp_path: Path, code: str) -> None:
    transport = Scripted(failure(code), GOOD)
    with pytest.raises(PlannerError) as caught:
        PlanningAgent(transport).plan(request(tmp_path), Progress().append)
    assert (caught.value.code, caught.value.message, caught.value.hint) == (code, "it failed", "try 'again'")
    assert len(transport.turns) == 1
    assert set(TRANSIENT_AGENT_CODES) <= set(CODES)


class Clock:
    """A clock that only goes on when somebody sleeps: a busy machine decides nothing."""

    def __init__(self) -> None:
        self.now, self.pauses = 1000.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


@pytest.fixture
def clock() -> Clock:
    """Provide a clock for the answer loop."""
    return Clock()


def test_waits_longer_each_time(tmp_path: Path, clock: Clock) -> None:
    transport = Scripted(*[failure("E_CODEX_RATE")] * 3, GOOD)
    PlanningAgent(transport, backoff=0.1, clock=clock).plan(request(tmp_path, attempts=4), Progress().append)
    for pause, least in zip(clock.pauses, (0.075, 0.15, 0.3), strict=True):
        assert least <= pause <= 2 * least


def test_never_waits_past_the_deadline(tmp_path: Path, clock: Clock) -> None:
    transport = Scripted(*[failure("E_CODEX_SERVER")] * 3)
    with pytest.raises(PlannerError, match="it failed"):
        PlanningAgent(transport, backoff=25, clock=clock).plan(
            request(tmp_path, seconds=15), Progress().append
        )
    assert (clock.pauses, len(transport.turns)) == ([], 1)


def test_one_deadline_for_all_attempts(tmp_path: Path, clock: Clock) -> None:
    transport = Scripted(BAD, BAD, BAD)
    transport.take_time = lambda: clock.sleep(0.8)
    with pytest.raises(PlannerError):
        PlanningAgent(transport, clock=clock).plan(request(tmp_path, seconds=2.0), Progress().append)
    assert [round(turn.seconds, 3) for turn in transport.turns] == [2.0, 1.2]


def test_earlier_attempts_stay(tmp_path: Path) -> None:
    planning_request = request(tmp_path)
    for _ in range(2):
        PlanningAgent(Scripted(GOOD)).plan(planning_request, Progress().append)
    assert [outcome(planning_request.folder, number)["result"] for number in (1, 2)] == [
        "accepted",
        "accepted",
    ]


def test_an_interrupted_attempt_is_kept(tmp_path: Path) -> None:
    planning_request = request(tmp_path)
    ready = tmp_path / "ready"
    script = f"echo begun; echo >'{ready}'; exec sleep 60"
    agent = PlanningAgent(CommandTransport(Program(("sh", "-c", script), 60), UNCONFINED))
    timer = signal_once_written(ready, 1, signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        agent.plan(planning_request, Progress().append)
    timer.join()
    assert outcome(planning_request.folder, 1) == {"result": "interrupted", "attempt": 1}
    assert (planning_request.folder / "attempt-1" / "stdout").read_text() == "begun\n"


def test_the_retry_template_has_its_placeholders() -> None:
    assert "$answer" in read_template("retry")
    assert "$faults" in read_template("retry")
