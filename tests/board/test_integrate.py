"""`git plan worker integrate`: finished branches come to the base branch one after the other."""

from __future__ import annotations

import json
from typing import Any

from tests.board.session_lab import run
from tests.delegation.scripted_agent import DONE, delegate, set_agent_script, set_up_lab, task
from tests.support.lab import Lab

FIRST = ("Write one", "--write-scope", "src/**", "--verify", "grep -q 1 src/one")
SECOND = ("Write two", "--write-scope", "src/**", "--verify", "grep -q 2 src/two")


def integrate(lab: Lab, *words: str, status: int = 0) -> dict[str, Any]:
    ran = lab.run("git-plan", "worker", "integrate", *words, "--json")
    assert ran.status == status, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


# The board that the session planner left in a repository.
OLD_BOARD = {
    "board/tasks.yaml": """\
tasks:
- id: TASK-001
  title: Count
  status: todo
  priority: medium
  owner: null
  write_scope: [src/]
  acceptance: [it counts]
  dependencies: []
- id: TASK-002
  title: Ask
  status: needs_input
  owner: worker-task-002
  write_scope: [src/]
  acceptance: [it counts]
  dependencies: [TASK-001]
  handoff: .codex/handoffs/TASK-002.md
""",
    "board/sessions.yaml": "sessions:\n- {name: planner, role: planner, status: stopped}\n",
    "handoffs/TASK-002.md": "# TASK-002\n\n## Question\n\nOne or two?\n",
    "board/decisions.md": "- count from one\n",
}


def worked(lab: Lab, script: str) -> None:
    """Let agents carry out two tasks by a script."""
    set_agent_script(lab, f"{script}\n{DONE}")
    for _ in range(2):
        status, _ = delegate(lab)
        assert status == 0


def test_finished_tasks_are_brought_back_one_after_the_other(lab: Lab) -> None:
    set_up_lab(lab, FIRST, SECOND)
    worked(lab, 'case "$GIT_PLANNER_TASK" in task_001) echo 1 > src/one;; *) echo 2 > src/two;; esac')
    before = lab.git("rev-parse", "main")
    document = integrate(lab)
    assert [item["outcome"] for item in document["tasks"]] == ["integrated", "integrated"]
    assert (lab.show("main:src/one"), lab.show("main:src/two")) == ("1\n", "2\n")
    assert lab.git("rev-parse", "main~2") == before
    assert ".advisor" not in lab.git("ls-tree", "--name-only", "main")
    assert (task(lab).status, task(lab, "task_002").status) == ("done", "done")
    assert lab.git("status", "--porcelain", "--untracked-files=no") == ""
    again = integrate(lab)
    assert {item["outcome"] for item in again["tasks"]} == {"present"}
    assert lab.git("rev-parse", "main~2") == before


def test_a_board_of_the_old_planner_is_imported_answered_worked_on_and_brought_back(lab: Lab) -> None:
    set_up_lab(lab)
    folder = lab.path / ".codex"
    for name, text in OLD_BOARD.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    lab.git("config", "planner.plan", "old")
    assert lab.run("git-planner", "import", "board", "--plan", "old").status == 0
    item = run(lab, "inbox")["items"][0]
    assert (item["kind"], item["subject"], item["text"]) == ("question", "task_002", "One or two?")
    assert lab.run("git-plan", "task", "answer", "task_002", "Two.").status == 0
    assert lab.run("git-plan", "task", "resume", "task_002").status == 0
    set_agent_script(
        lab, 'case "$GIT_PLANNER_TASK" in task_001) echo 1 > src/one;; *) echo 2 > src/two;; esac', DONE
    )
    for name in ("task_001", "task_002"):
        status, document = delegate(lab)
        assert (status, [done["task"] for done in document["runs"]]) == (0, [name])
        assert integrate(lab)["tasks"][-1]["outcome"] == "integrated"
        assert run(lab, "inbox")["items"][0]["kind"] == "review"
        # The old board has no commands that verify a task.
        assert lab.run("git-plan", "task", "verify", name, "--note", "seen").status == 0
    prompt = (lab.path / ".git/planner/runs" / document["runs"][0]["run"] / "prompt.md").read_text()
    assert "it counts" in prompt
    assert "Two." in prompt
    assert (lab.show("main:src/one"), lab.show("main:src/two")) == ("1\n", "2\n")
    assert [item["status"] for item in run(lab, "task", "list")["tasks"]] == ["done", "done"]
    assert run(lab, "inbox")["items"] == []


def test_what_does_not_merge_is_told_and_the_rest_is_brought_back(lab: Lab) -> None:
    set_up_lab(lab, FIRST, SECOND)
    worked(lab, 'echo "$GIT_PLANNER_TASK" > src/value; echo 1 > src/one; echo 2 > src/two')
    document = integrate(lab, status=1)
    first, second = document["tasks"]
    assert (first["outcome"], second["outcome"]) == ("integrated", "conflict")
    assert "src/value" in second["paths"]
    assert lab.show("main:src/value") == "task_001\n"


def test_a_task_whose_verify_command_fails_on_the_result_is_not_brought_back(lab: Lab) -> None:
    set_up_lab(lab, FIRST)
    set_agent_script(lab, f"echo 7 > src/one\n{DONE}")
    delegate(lab)
    before = lab.git("rev-parse", "main")
    document = integrate(lab, status=1)
    assert document["tasks"][0]["outcome"] == "failed"
    assert "grep -q 1 src/one" in document["tasks"][0]["reason"]
    assert lab.git("rev-parse", "main") == before


def test_a_guarded_file_is_never_brought_back(lab: Lab) -> None:
    set_up_lab(lab, FIRST)
    set_agent_script(lab, f"echo 1 > src/one\n{DONE}")
    delegate(lab)
    tests = lab.git("rev-parse", "main:tests")
    integrate(lab)
    assert lab.git("rev-parse", "main:tests") == tests


def test_a_named_task_must_be_finished(lab: Lab) -> None:
    set_up_lab(lab, FIRST)
    ran = lab.run("git-plan", "worker", "integrate", "task_001")
    assert (ran.status, "(E_TRANSITION)" in ran.err) == (3, True)


def test_a_task_without_verify_commands_is_brought_back_and_says_who_signs_it_off(lab: Lab) -> None:
    set_up_lab(lab, ("Write one", "--write-scope", "src/**"))
    set_agent_script(lab, f"echo 1 > src/one\n{DONE}")
    delegate(lab)
    (brought,) = integrate(lab)["tasks"]
    assert (brought["outcome"], task(lab).status) == ("integrated", "agent_done")
    assert "git plan task verify task_001" in brought["reason"]
    assert lab.run("git-plan", "task", "verify", "task_001", "--note", "read it").status == 0
    assert integrate(lab)["tasks"][0]["reason"] is None
