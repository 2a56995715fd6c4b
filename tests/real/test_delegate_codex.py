"""The real codex works on a task: it edits in its sandbox, and reports the result with its shell tool."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.delegation.scripted_agent import delegate, saved_runs, set_up_lab, task
from tests.real.conftest import Place
from tests.support.servers import openai_responses
from tests.support.servers.openai_responses import codex_home, serving

pytestmark = pytest.mark.real

# The shell that codex starts has its own PATH.
REPORT = '"$GIT_PLANNER_PROGRAM" task result "$GIT_PLANNER_TASK" --run "$GIT_PLANNER_RUN"'
DONE = f"{REPORT} --status done --summary 'did it'"


@pytest.fixture
def ready(place: Place, codex: Path) -> Place:
    """Provide a repository with tasks, and codex as implementer."""
    lab = place.lab
    lab.env |= {
        "GIT_PLANNER_CODEX": str(codex),
        "GIT_PLANNER_CODEX_HOME": str(place.folder / "home"),
        "GIT_PLANNER_IMPLEMENTER": "codex",
        "STUB_API_KEY": "stub-key",
    }
    if not (lab.path / "src").exists():
        scopes = ("src/value", "docs/**", "src/other")
        set_up_lab(lab, *[(f"write {scope}", "--write-scope", scope) for scope in scopes])
    return place


def test_codex_edits_and_reports_from_within_its_sandbox(ready: Place) -> None:
    lab = ready.lab
    outside = ready.folder / "outside"
    turns = (
        openai_responses.edits("src/value", "100", "90"),
        openai_responses.runs(f"echo x >{outside}; echo x >../../repo/stray; {DONE}"),
        openai_responses.says("I made it smaller."),
    )
    with serving(*turns) as server:
        codex_home(ready.folder / "home", server.port)
        status, done = delegate(lab)
    assert (status, done["runs"][0]["outcome"]) == (0, "done"), done
    one = task(lab)
    assert (one.status, lab.show(f"{one.branch}:src/value")) == ("agent_done", "90\n")
    assert not outside.exists()
    assert not (lab.path / "stray").exists()
    run = saved_runs(lab)[0]
    assert (run.sandbox, run.approval, run.danger) == ("workspace-write", "never", False)
    assert run.thread
    assert "--add-dir" in run.argv
    assert f"codex exec resume {run.thread}" in lab.run("git-plan", "runs", "--run", run.run).out
    assert "task_001" in server.script.prompts()[0]
    assert ready.processes() == []


def test_codex_asks_a_question_and_ends_without_a_result(ready: Place) -> None:
    lab = ready.lab
    with serving(
        openai_responses.runs(f"{REPORT} --status needs_input --summary unsure --question 'Which?'"),
        openai_responses.says("I asked."),
        openai_responses.says("I have done nothing at all."),
    ) as server:
        codex_home(ready.folder / "home", server.port)
        first = delegate(lab, "--task", "task_002")[1]["runs"][0]
        second = delegate(lab, "--task", "task_003")[1]["runs"][0]
    assert [first["outcome"], second["outcome"]] == ["needs_input", "no_result"]
    question = task(lab, "task_002").open_question
    assert question is not None
    assert question.summary == "Which?"


def test_codex_runs_without_a_sandbox_only_with_allow_danger(ready: Place) -> None:
    lab = ready.lab
    assert lab.run("git-plan", "task", "resume", "task_003").status == 0
    outside = ready.folder / "outside"
    with serving(
        openai_responses.runs(f"echo x >{outside}; echo 80 >src/other; {DONE}"),
        openai_responses.says("Done."),
    ) as server:
        codex_home(ready.folder / "home", server.port)
        status, done = delegate(
            lab, "--task", "task_003", "--sandbox", "danger-full-access", "--allow-danger"
        )
    assert (status, done["runs"][0]["danger"]) == (0, True), json.dumps(done)
    assert outside.read_text() == "x\n"
    message = lab.git("log", "-1", "--format=%B", str(task(lab, "task_003").branch))
    assert "Planner-Sandbox: danger-full-access" in message
