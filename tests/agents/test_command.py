"""The agent 'command': shell scripts as planner and implementer."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from git_planner.agents.answer_loop import PlanningAgent
from git_planner.agents.command import CommandImplementer, CommandTransport
from git_planner.errors import PlannerError
from git_planner.host.marks import related
from git_planner.rules.policy.policy import Program
from tests.agents.cases import DIRECTIVE, UNCONFINED, Progress, brief, outcome, request, variables


def program(folder: Path, body: str, timeout: float = 20) -> Program:
    path = folder / "agent.sh"
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Program((str(path), "an argument"), timeout)


def planner(folder: Path, body: str, timeout: float = 20) -> PlanningAgent:
    return PlanningAgent(CommandTransport(program(folder, body, timeout), UNCONFINED), backoff=0.01)


def test_a_planner_gets_the_prompt_and_the_documents(tmp_path: Path) -> None:
    (tmp_path / "answer").write_text(f"Here it is:\n```json\n{json.dumps(DIRECTIVE)}\n```\n")
    body = (
        'cat > got; echo "$1|$GIT_PLANNER_KIND|$GIT_PLANNER_MODEL|$PWD" >> got\n'
        'cp "$GIT_PLANNER_PACKET" packet; cp "$GIT_PLANNER_SCHEMA" schema; cat answer\n'
    )
    planning_request = request(tmp_path, model="m1")
    done = planner(tmp_path, body).plan(planning_request, Progress().append)
    assert done.document == DIRECTIVE
    assert (done.model, done.attempts) == ("m1", 1)
    assert (tmp_path / "got").read_text() == f"{planning_request.prompt}an argument|directive|m1|{tmp_path}\n"
    assert json.loads((tmp_path / "packet").read_text()) == planning_request.packet
    assert json.loads((tmp_path / "schema").read_text()) == planning_request.schema
    kept = planning_request.folder / "attempt-1"
    assert sorted(path.name for path in kept.iterdir()) == [
        "command.json",
        "outcome.json",
        "prompt.md",
        "stderr",
        "stdout",
    ]
    assert (kept / "stdout").read_text() == (tmp_path / "answer").read_text()
    assert json.loads((kept / "command.json").read_text())["argv"] == [
        str(tmp_path / "agent.sh"),
        "an argument",
    ]


def test_git_variables_of_a_hook_are_removed(tmp_path: Path) -> None:
    (tmp_path / "answer").write_text(json.dumps(DIRECTIVE))
    agent = planner(tmp_path, 'echo "[$GIT_DIR$GIT_INDEX_FILE]" > seen; cat answer')
    with variables(GIT_DIR="/somewhere", GIT_INDEX_FILE="/somewhere/index"):
        agent.plan(request(tmp_path), Progress().append)
    assert (tmp_path / "seen").read_text() == "[]\n"


def test_a_failure_is_reported_and_retried(tmp_path: Path) -> None:
    progress = Progress()
    with pytest.raises(PlannerError) as caught:
        planner(tmp_path, "echo no >&2; exit 9").plan(request(tmp_path), progress.append)
    name = f"'{tmp_path / 'agent.sh'}'"
    assert caught.value.code == "E_AGENT_FAILED"
    assert caught.value.message == f"{name} ended with status 9 (after 3 attempts)"
    assert caught.value.details == ("no",)
    assert progress[:3] == [
        "asking the planner 'command', attempt 1 of 3",
        f"attempt 1 gave no plan: {name} ended with status 9",
        "asking the planner 'command', attempt 2 of 3",
    ]
    assert outcome(tmp_path / "run", 3) == {
        "result": "failed",
        "attempt": 3,
        "code": "E_AGENT_FAILED",
        "exit": 4,
        "message": f"{name} ended with status 9",
        "hint": None,
        "details": ["no"],
    }


def test_an_empty_answer_is_retried(tmp_path: Path) -> None:
    (tmp_path / "answer").write_text(json.dumps(DIRECTIVE))
    body = "[ -e second ] && exec cat answer; touch second; echo; exit 0"
    assert planner(tmp_path, body).plan(request(tmp_path), Progress().append).attempts == 2
    assert outcome(tmp_path / "run", 1)["code"] == "E_AGENT_EMPTY"


def test_its_timeout_ends_all_its_processes(tmp_path: Path) -> None:
    with pytest.raises(PlannerError) as caught:
        planner(tmp_path, "echo $GIT_PLANNER_MARK > mark; setsid sleep 60 & sleep 60", timeout=0.5).plan(
            request(tmp_path), Progress().append
        )
    assert caught.value.code == "E_DEADLINE"
    assert related((tmp_path / "mark").read_text().strip()) == []
    assert not (tmp_path / "run" / "attempt-2").exists()
    assert not (tmp_path / "run" / "attempt-1" / "process.json").exists()


def test_a_missing_program_is_not_retried(tmp_path: Path) -> None:
    agent = PlanningAgent(CommandTransport(Program(("no-such-agent",), 5), UNCONFINED))
    with pytest.raises(PlannerError) as caught:
        agent.plan(request(tmp_path), Progress().append)
    assert caught.value.code == "E_MISSING_TOOL"
    assert caught.value.message == "'no-such-agent' is not on PATH"
    assert sorted(path.name for path in (tmp_path / "run").glob("attempt-*")) == ["attempt-1"]


def test_an_implementer_edits_its_worktree(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    body = (
        'cat > got; echo "$GIT_PLANNER_MODEL $GIT_PLANNER_EFFORT" >> got; echo working; echo I changed got.\n'
    )
    progress = Progress()
    done = CommandImplementer(program(tmp_path, body), UNCONFINED).implement(
        brief(tmp_path, folder, model="m", effort="high"), progress.append
    )
    assert (tmp_path / "got").read_text() == "Carry it out: ümlaut.m high\n"
    assert (done.summary, done.model) == ("I changed got.", "m")
    assert progress == ["running agent.sh"]
    assert (folder / "prompt.md").read_text() == "Carry it out: ümlaut."
    assert oct((folder / "prompt.md").stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize(
    ("body", "seconds", "code"), [("exit 1", 20.0, "E_AGENT_FAILED"), ("sleep 60", 0.4, "E_DEADLINE")]
)
def test_an_implementer_that_fails(tmp_path: Path, body: str, seconds: float, code: str) -> None:
    agent = CommandImplementer(program(tmp_path, "echo why >&2; " + body), UNCONFINED)
    with pytest.raises(PlannerError) as caught:
        agent.implement(brief(tmp_path, tmp_path / "log", seconds=seconds), Progress().append)
    assert (caught.value.code, caught.value.details) == (code, ("why",))
    assert (tmp_path / "log" / "stderr").read_text() == "why\n"
