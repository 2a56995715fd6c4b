"""A session planner's board becomes a plan: liberal in spelling, strict in content, each task once."""

from __future__ import annotations

import json
import os
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner import documents
from git_planner.config.yaml_subset import read_yaml
from git_planner.errors import PlannerError
from git_planner.flows.tasks.edit import read_handoff, read_tasks
from git_planner.rules.imports.old_board import inside, question_in, read_old_sessions, read_old_tasks
from git_planner.rules.imports.old_tasks import ImportStamp, plan_tasks
from git_planner.rules.tasks.task import Task
from tests.support.lab import GIT, Lab, command_line
from tests.support.workshop import workshop

STAMP = ImportStamp("2026-11-30T10:00:00Z", "A <a@example.com>", "/home/a/repo")
BOARD = """\
tasks:
- id: TASK-001
  title: Parse the log
  status: in_progress
  owner: worker-task-001
  write_scope: [src/, .codex/handoffs/task-001.md, ../outside, /etc/passwd]
  read_scope: docs
  acceptance: &shared [it parses]
  dependencies: [task-002, TASK-077]
- task_id: TASK-002
  summary: Ask for the format
  state: needs-input
  acceptance_criteria: *shared
  handoff_file: .codex/handoffs/task-002.md
  priority: 3
- {id: AUTH-1, title: Login, status: done}
- {id: TASK-004, title: Wait, status: blocked, reason: no key}
- {id: TASK-005, title: Look, status: review_ready}
- {id: TASK-006, title: Odd, status: frobbed}
"""
SESSIONS = "sessions:\n- {name: planner, role: planner, status: running}\n- worker-task-001: {}\n"
HANDOFF = "# TASK-002\n\n## Question\n\nJSON or text? \x1b[2J\n\n## Answer\n\nnone yet\n"


def make_board(lab: Lab, **files: str | bytes) -> Path:
    """Write the files of a board, by their path in '.codex' with '__' for '/', and return its folder."""
    folder = lab.path / ".codex"
    for name, content in {"board__tasks.yaml": BOARD, **files}.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def imported(lab: Lab, *argv: str) -> dict[str, Any]:
    """Import into the plan 'old' and return the printed document."""
    done = lab.run("git-planner", "import", "board", "--plan", "old", "--json", *argv)
    assert done.status == 0, done.err
    document: dict[str, Any] = json.loads(done.out)
    return document


@pytest.fixture
def board_lab(lab: Lab) -> Lab:
    """Make a repository with a policy."""
    return workshop(lab)


def test_a_board_becomes_a_plan_in_one_commit_and_only_once(board_lab: Lab) -> None:
    more = {
        "handoffs__task-002.md": HANDOFF,
        "handoffs__TASK-009.md": "lost",
        "board__decisions.md": "- text\n",
    }
    make_board(board_lab, **{**more, "board__sessions.yaml": SESSIONS})
    before = board_lab.refs()
    planned = imported(board_lab, "--dry-run")
    assert board_lab.refs() == before
    done = imported(board_lab)
    assert {**planned, "changed": True, "dry_run": False} == done
    assert {task["old_id"]: (task["id"], task["status"]) for task in done["tasks"]} == {
        "TASK-001": ("task_001", "todo"),
        "TASK-002": ("task_002", "needs_input"),
        "AUTH-1": ("task_007", "done"),
        "TASK-004": ("task_004", "blocked"),
        "TASK-005": ("task_005", "review_ready"),
        "TASK-006": ("task_006", "todo"),
    }
    assert board_lab.git("rev-list", "--count", "main..plan/old") == "1"
    assert done["sessions"] == ["planner: planner, running", "entry 2"]
    assert done["left_out"] == [
        "TASK-001: its dependency 'TASK-077', which is not on the board",
        "TASK-001: '../outside' of its write scope, which lies outside the repository",
        "TASK-001: '/etc/passwd' of its write scope, which lies outside the repository",
        "TASK-002: its field 'priority'",
        "TASK-006: its status 'frobbed', which is unknown; it is todo",
        "handoffs/TASK-009.md: no task has it",
    ]
    after = board_lab.refs()
    again = imported(board_lab)
    assert (again["changed"], again["tasks"], len(again["known"])) == (False, [], 6)
    assert board_lab.refs() == after


def test_tasks_keep_what_the_board_knows_of_them(board_lab: Lab) -> None:
    make_board(board_lab, **{"handoffs__task-002.md": HANDOFF, "board__risks.md": "key: \x1b]0;x\x07\n"})
    imported(board_lab)
    tasks = {task.id: task for task in read_tasks(board_lab.repo, "old").tasks}
    first, second = tasks["task_001"], tasks["task_002"]
    assert (first.write_scope, first.read_scope, first.dependencies) == (("src",), ("docs",), ("task_002",))
    assert first.acceptance == second.acceptance == ("it parses",)
    assert first.notes == (
        "imported from .codex/board, where it was TASK-001 and in_progress, owned by worker-task-001",
    )
    assert second.open_question is not None
    assert second.open_question.summary == "JSON or text? \\x1b[2J"
    assert tasks["task_004"].reason == "no key"
    assert [evidence.kind for evidence in tasks["task_007"].evidence] == ["manual"]
    text = read_handoff(board_lab.repo, "old", second)
    assert "## Imported from .codex" in text
    assert "\x1b" not in text
    assert board_lab.show("plan/old:.plans/old/imported/risks.md") == "key: \\x1b]0;x\\x07\n"
    report = board_lab.show("plan/old:.plans/old/imported/IMPORT.md")
    assert "- TASK-001 -> task_001: in_progress -> todo" in report
    inbox = board_lab.run("git-plan", "inbox", "--plan", "old").out
    assert "git plan task answer task_002 TEXT --plan old" in inbox


def test_a_later_import_adds_what_is_new_and_leaves_the_rest_alone(board_lab: Lab) -> None:
    board_lab.run("git-plan", "task", "add", "mine", "--plan", "old")
    make_board(board_lab, **{"board__backlog.md": "one\n"})
    ids = {task["old_id"]: task["id"] for task in imported(board_lab)["tasks"]}
    # The plan had a task_001.
    assert ids["TASK-001"] == "task_007"
    text = BOARD.replace("Login", "Sign in") + "- {id: TASK-010, title: More, depends_on: [TASK-001]}\n"
    make_board(board_lab, **{"board__tasks.yaml": text, "board__backlog.md": "two\n"})
    done = imported(board_lab)
    assert [(task["id"], task["old_id"]) for task in done["tasks"]] == [("task_010", "TASK-010")]
    assert done["left_out"][:2] == [
        "AUTH-1: it was imported as task_008, and has another title here: 'Sign in'",
        "board/backlog.md: the plan has imported/backlog.md with other text",
    ]
    task = next(task for task in read_tasks(board_lab.repo, "old").tasks if task.id == "task_010")
    assert task.dependencies == ("task_007",)


# A git that lets another import end before the first branch moves.
OTHER_FIRST = """\
#!/bin/sh
case "$*" in
*update-ref*) if mkdir "{root}/began" 2>/dev/null; then PATH="{path}" {other} >"{root}/other" 2>&1; fi ;;
esac
exec "{git}" "$@"
"""


def test_two_imports_at_once_import_each_task_once(board_lab: Lab) -> None:
    make_board(board_lab, **{"board__risks.md": "one\n"})
    argv = ("git-planner", "import", "board", "--plan", "old")
    script = board_lab.root / "racing" / "git"
    script.parent.mkdir()
    path, other = board_lab.env["PATH"], shlex.join(command_line(*argv))
    script.write_text(OTHER_FIRST.format(root=board_lab.root, path=path, other=other, git=GIT))
    script.chmod(0o755)
    ran = board_lab.spawn(*argv, "--json", PATH=f"{script.parent}{os.pathsep}{path}")
    assert ran.status == 0, ran.err
    done = json.loads(ran.out)
    assert (board_lab.root / "other").read_text().startswith("plan 'old': 6 tasks imported")
    assert (done["changed"], done["tasks"], len(done["known"])) == (False, [], 6)
    assert len(read_tasks(board_lab.repo, "old").tasks) == 6


def test_a_plan_whose_tasks_all_have_high_numbers_has_a_first_page(board_lab: Lab) -> None:
    make_board(board_lab, **{"board__tasks.yaml": "- {id: TASK-300, title: Late}\n"})
    imported(board_lab)
    assert [task.id for task in read_tasks(board_lab.repo, "old").tasks] == ["task_300"]


BOMB = "a: &a [x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(15)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "repeats too much by aliases"),
        ("a: &a [*a]\n", "repeats too much by aliases"),
        ("- !!python/object/apply:os.system [x]\n", "which is not allowed (line 1, column 3)"),
        ("- " * 30 + "x\n", "is nested deeper than 20 levels"),
        ("#" * (4 * 1024 * 1024 + 1), "more than 4,194,304 bytes"),
        ("tasks: [\n", "cannot be read: did not find expected node content"),
        (b"\xff", "is not UTF-8 (byte 0)"),
    ],
)
def test_a_hostile_board_is_refused_at_once(board_lab: Lab, text: str | bytes, reason: str) -> None:
    make_board(board_lab, **{"board__tasks.yaml": text})
    before, started = board_lab.refs(), time.process_time()
    done = board_lab.run("git-planner", "import", "board", "--plan", "old")
    assert (done.status, done.out) == (1, "")
    assert "E_MISSING_INPUT" in done.err
    assert reason in done.err
    assert time.process_time() - started < 20
    assert board_lab.refs() == before


def test_nothing_behind_a_link_is_read(board_lab: Lab) -> None:
    secret = board_lab.root / "secret.md"
    secret.write_text("a secret")
    folder = make_board(board_lab, **{"handoffs__x.txt": "", "handoffs__big.md": "x" * 300_000})
    os.symlink(secret, folder / "handoffs/task-001.md")
    os.symlink(secret, folder / "board/risks.md")
    os.symlink(board_lab.root, folder / "prompts")
    os.mkfifo(folder / "board/backlog.md")
    done = imported(board_lab)
    assert [line for line in done["left_out"] if line.startswith(("board", "handoffs"))] == [
        "board/risks.md: it is, or lies behind, a link",
        "board/backlog.md: it is not a regular file",
        "handoffs/big.md: it has more than 262,144 bytes",
        "handoffs/task-001.md: it is, or lies behind, a link",
        "handoffs/x.txt: it is not read",
    ]
    (folder / "board").rename(board_lab.root / "board")
    os.symlink(board_lab.root / "board", folder / "board")
    refused = board_lab.run("git-planner", "import", "board", "--plan", "old")
    assert "lies behind, a link" in refused.err


def test_a_board_outside_the_repository_is_refused(board_lab: Lab, tmp_path: Path) -> None:
    outside = tmp_path / "outside/.codex/board"
    outside.mkdir(parents=True)
    (outside / "tasks.yaml").write_text(BOARD)
    for place in (outside, outside.parent, outside.parent.parent):
        done = board_lab.run("git-planner", "import", "board", str(place), "--plan", "old")
        assert (done.status, "lies outside the repository" in done.err) == (2, True)
    done = board_lab.run("git-planner", "import", "board", "--plan", "old")
    assert (done.status, "there is no board in" in done.err) == (1, True)


def test_the_board_of_the_main_worktree_is_found_from_a_linked_one(board_lab: Lab) -> None:
    make_board(board_lab)
    board_lab.git("branch", "side")
    linked = board_lab.worktree("linked", "side")
    done = board_lab.run("git-planner", "import", "board", "--plan", "old", "--dry-run", cwd=linked)
    assert done.out.startswith("plan 'old': 6 tasks would be imported, 0 known already")


def test_paths_of_the_board() -> None:
    assert [inside(path, "/r") for path in ("src/", "./a//b", "/r/src/x", "a\\b")] == [
        "src",
        "a/b",
        "src/x",
        "a/b",
    ]
    bad = (
        "..",
        "a/../../b",
        "/etc",
        "~/x",
        "C:\\x",
        ":(top)x",
        ".git/hooks",
        "a/.GIT",
        "a\nb",
        "",
        ".",
        "/r/../x",
    )
    assert [inside(path, "/r") for path in bad] == [None] * len(bad)


def test_spellings() -> None:
    by_id = {"T1": {"Title": "a", "Depends On": "T2"}, "T2": {"name": "b", "STATUS": "In Progress"}}
    for document in ({"tasks": by_id}, by_id):
        assert [(task.id, task.title) for task in read_old_tasks(document).tasks] == [
            ("T1", "a"),
            ("T2", "b"),
        ]
    board = read_old_tasks(
        [{"id": 1, "title": "a", "summary": "more"}, {"id": 1, "title": "b"}, 7, {"id": "x"}]
    )
    assert [(task.id, task.intent) for task in board.tasks] == [("1", "more")]
    assert board.left_out == (
        "1: it appears twice; the first is taken",
        "entry 3: it is no task",
        "x: it has no title",
    )
    assert read_old_tasks("text").left_out == ("the tasks are neither a list nor a map",)
    assert read_old_sessions({"sessions": {"w": {"task": "T1", "state": "closed"}}}) == ("w: T1, closed",)
    assert question_in("# a\n## Input requested\n\nwhy?\n## Answer\nno\n") == "why?"
    assert question_in("# a\nno heading\n") is None


def test_cycles_of_the_board_are_cut() -> None:
    rows = [{"id": f"TASK-{n}", "title": "x", "after": [f"TASK-{n % 3 + 1}"]} for n in (1, 2, 3)]
    result = plan_tasks(read_old_tasks(rows).tasks, [], {}, STAMP)
    assert [task.dependencies for _, task in result.new] == [("task_002",), ("task_003",), ()]
    assert result.left_out == ("TASK-3: its dependency 'TASK-1', which would make a cycle",)
    alone = plan_tasks(read_old_tasks([{"id": "a", "title": "x", "after": "a"}]).tasks, [], {}, STAMP)
    assert alone.left_out == ("a: its dependency 'a', which would make a cycle",)


def test_a_long_chain_is_imported_at_once() -> None:
    rows = [{"id": f"TASK-{n}", "title": "x", "after": [f"TASK-{n + 1}"]} for n in range(1, 1001)]
    started = time.process_time()
    result = plan_tasks(read_old_tasks(rows).tasks, [], {}, STAMP)
    assert len(result.new) == 1000
    assert time.process_time() - started < 10


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.just("x" * 30_000)
STATUSES = st.sampled_from(
    ["todo", "done", "needs_input", "blocked", "review_ready", "cancelled", "later", "?"]
)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=5,
)
KEYS = st.sampled_from(
    ["id", "title", "summary", "write_scope", "dependencies", "reason", "owner", "notes", "x"]
)
ENTRY = st.tuples(st.dictionaries(KEYS, VALUE, max_size=6), STATUSES).map(
    lambda pair: {**pair[0], "status": pair[1]}
)


@given(st.lists(ENTRY | VALUE, max_size=4) | VALUE)
def test_whatever_a_board_holds_becomes_valid_tasks(document: Any) -> None:
    result = plan_tasks(read_old_tasks(document).tasks, [], {}, STAMP)
    for _, task in result.new:
        documents.check("task", task.document(), task.id)
        assert isinstance(task, Task)
    read_old_sessions(document)


@given(st.text(alphabet="a:-[]{}&*!|\n ,", max_size=40))
def test_any_text_with_aliases_is_a_document_or_an_error(text: str) -> None:
    try:
        read_yaml(text.encode(), "f", limit=1000, aliases=True)
    except PlannerError as error:
        assert error.code == "E_POLICY"  # noqa: PT017 - either outcome is right
