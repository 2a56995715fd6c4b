"""The overview: read once, asked cheaply, and read again only where something changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.board.overview.overview import PREFIXES, Overview, OverviewReader
from git_planner.flows.board.sessions.session_store import HostSession, save_session
from git_planner.flows.runs.store import save_end
from git_planner.gitio import git, history
from git_planner.host import process_identity
from git_planner.host.machine import host_name
from git_planner.host.terminals.terminal import Terminal
from git_planner.report.top.frame import columns_of, cut_line, fill_cell, render_frame
from git_planner.report.top.panes import panes_of
from git_planner.rules.board.session import Session
from tests.board.stored_run import store_run
from tests.support.lab import Lab
from tests.support.workshop import workshop

ATTACH = "git plan session attach planner --plan default"
HOSTILE = "a\u202eb\x1b]0;x\x07 [red]c[/red]"


def add(lab: Lab, title: str, plan: str = "default") -> None:
    """Add a task."""
    done = lab.run("git-plan", "task", "add", title, "--plan", plan)
    assert done.status == 0, done.err


def settled(reader: OverviewReader) -> Overview:
    """Read until nothing is new: what changed a moment ago is read twice."""
    page = reader.read()
    while reader.is_changed():
        time.sleep(0.02)
        page = reader.read()
    return page


@pytest.fixture
def watched(lab: Lab) -> Lab:
    """Make a repository with a policy and a plan of two tasks, one of them with a question."""

    def make(lab: Lab) -> None:
        workshop(lab)
        add(lab, "first")
        add(lab, "second")
        lab.run("git-plan", "task", "claim", "task_002")
        lab.run("git-plan", "task", "input", "task_002", "--summary", "JSON or text?")

    return lab.prepare("watched", make)


def test_everything_is_on_one_page(watched: Lab) -> None:
    store_run(watched, "task_001")
    with watched.entered():
        page = OverviewReader(watched.repo).read()
    assert [(task.task, task.status) for task in page.tasks] == [
        ("task_002", "needs_input"),
        ("task_001", "todo"),
    ]
    assert [(item.kind, item.subject) for item in page.inbox if item.kind == "question"] == [
        ("question", "task_002")
    ]
    assert [(plan.plan, plan.tasks, plan.is_current) for plan in page.plans] == [
        ("default", {"needs_input": 1, "todo": 1}, True)
    ]
    assert [(run.task, run.state) for run in page.runs] == [("task_001", "alive")]
    assert (page.leases, page.records, page.problems) == ((), (), ())
    assert {item["kind"] for item in page.document()["inbox"]} == {
        item["kind"] for item in json.loads(watched.run("git-plan", "inbox", "--json").out)["items"]
    }


def test_nothing_is_read_again_until_something_changed(watched: Lab) -> None:
    with watched.entered():
        reader = OverviewReader(watched.repo)
        assert reader.is_changed()
        first = settled(reader)
        spawned = git.spawned
        assert not reader.is_changed()
        again = reader.read()
        assert git.spawned == spawned
        assert (again.tasks, again.inbox, again.runs) == (first.tasks, first.inbox, first.runs)
        add(watched, "third")
    with watched.entered():
        assert reader.is_changed()
        assert [task.title for task in reader.read().tasks] == ["second", "first", "third"]


def test_a_second_change_at_the_same_time_is_not_missed(watched: Lab) -> None:
    with watched.entered():
        reader = OverviewReader(watched.repo, times_differ=time.time_ns())
        stamps = history.ref_stamps(watched.repo, PREFIXES)
        reader.read()
        add(watched, "third")
    for place, at in stamps:
        # As on a file system whose clock is coarse.
        os.utime(place, ns=(at, at))
    with watched.entered():
        assert history.ref_stamps(watched.repo, PREFIXES) == stamps
        assert reader.is_changed()
        assert len(reader.read().tasks) == 3


def test_a_run_that_ends_and_a_plan_that_comes_are_seen(watched: Lab) -> None:
    run = store_run(watched, "task_001")
    with watched.entered():
        reader = OverviewReader(watched.repo)
        settled(reader)
        save_end(watched.repo, run, outcome="verified")
        assert reader.is_changed()
        assert [line.state for line in reader.read().runs] == ["verified"]
        add(watched, "elsewhere", "other")
    with watched.entered():
        assert reader.is_changed()
        page = reader.read()
    assert [plan.plan for plan in page.plans] == ["default", "other"]
    assert panes_of(page)["tasks"].columns[0] == "plan"


def test_sessions_are_shown_with_the_command_that_attaches(watched: Lab) -> None:
    with watched.entered():
        reader = OverviewReader(watched.repo)
        settled(reader)
        session = Session(
            session="20261130T130000Z-abcdefgh",
            name="planner",
            kind="planner",
            plan="default",
            state="running",
            client="codex",
            backend="tmux",
            host=host_name(),
            reserved_at="2026-11-30T13:00:00Z",
        )
        terminal = Terminal("tmux", "git-planner", "$1", "@1", None)
        here = HostSession(session, process_identity.identity(os.getpid()), terminal)
        save_session(watched.repo, here, publish=False)
        assert reader.is_changed()
        shown = settled(reader)
        assert [(line.session, line.task, line.state, line.attach) for line in shown.runs] == [
            ("planner", None, "running", tuple(ATTACH.split()))
        ]
        save_session(watched.repo, here.moved("suspended"), publish=False)
        assert reader.is_changed()
        assert [(line.state, line.is_open, line.attach) for line in reader.read().runs] == [
            ("suspended", True, ())
        ]
    assert "default planner  suspended  codex" in watched.run("git-planner", "top").out


def test_what_no_file_tells_is_looked_at_again_after_a_while(watched: Lab) -> None:
    delegator = subprocess.Popen(["sleep", "60"])
    store_run(watched, "task_001", process=process_identity.identity(delegator.pid))
    now = 1000.0
    with watched.entered():
        reader = OverviewReader(watched.repo, clock=lambda: now)
        assert [run.state for run in reader.read().runs] == ["alive"]
        delegator.kill()
        delegator.wait()
        assert [run.state for run in reader.read().runs] == ["alive"]
        now += 11
        assert reader.is_changed()
        page = reader.read()
    assert [run.state for run in page.runs] == ["dead"]
    assert {item.kind for item in page.inbox} == {"run", "question"}


def test_one_plan_only(watched: Lab) -> None:
    add(watched, "elsewhere", "other")
    with watched.entered():
        page = OverviewReader(watched.repo, "other").read()
        assert [task.title for task in page.tasks] == ["elsewhere"]
        with pytest.raises(PlannerError) as raised:
            OverviewReader(watched.repo, "none").read()
    assert raised.value.code == "E_NO_PLAN"


def test_a_plan_that_cannot_be_read_hides_no_other(watched: Lab) -> None:
    watched.git("branch", "plan/broken", "plan/default")
    watched.rival("refs/heads/plan/broken", ".plans/broken/plan.json", "{")
    with watched.entered():
        page = OverviewReader(watched.repo).read()
    assert [plan.plan for plan in page.plans] == ["default"]
    assert [item.plan for item in page.inbox if item.kind == "plan"] == ["broken"]


def test_a_repository_without_plans_and_without_commits(make_lab: Any) -> None:
    lab = make_lab(first=False)
    done = lab.run("git-planner", "top", "--once")
    assert (done.status, done.err) == (0, "")
    assert [line for line in done.out.splitlines()[1:] if line] == [
        f"{name}: none" for name in ("inbox", "tasks", "runs", "plans", "leases", "records")
    ]


def test_one_frame_without_a_terminal(watched: Lab) -> None:
    add(watched, "x" * 150)
    with watched.entered():
        page = OverviewReader(watched.repo).read()
    frames = [watched.run("git-planner", "top", *argv) for argv in ((), ("--once",))]
    for done in frames:
        assert done.status == 0
        assert "  task_002  needs_input  second [" in done.out
        assert all(len(line) <= 100 for line in done.out.splitlines())
    assert "  … 2 more" in render_frame(page, 80, 1)
    assert json.loads(watched.run("git-planner", "top", "--json").out)["schema"] == "git-planner/overview@1"


def test_no_text_of_a_repository_reaches_the_terminal_unescaped(watched: Lab) -> None:
    lab = watched
    lab.run("git-plan", "task", "answer", "task_002", "yes")
    lab.run("git-plan", "task", "resume", "task_002")
    lab.run("git-plan", "task", "update", "task_002", "--status", "blocked", "--reason", HOSTILE)
    with lab.entered():
        page = OverviewReader(lab.repo).read()
    for pane in panes_of(page).values():
        for row in pane.rows:
            assert all(cell.isprintable() for cell in row.cells)
    assert "a\\u202eb\\x1b]0;x\\x07 [red]c[/red]" in lab.run("git-planner", "top").out


def test_without_textual_it_says_what_to_install(watched: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from git_planner.cli.git_planner import top

    monkeypatch.setitem(sys.modules, "textual", None)
    with watched.entered(), pytest.raises(PlannerError) as raised:
        top._watch(watched.repo, OverviewReader(watched.repo))
    assert (raised.value.code, str(raised.value.hint).startswith("pip install 'git-planner[board]'")) == (
        "E_MISSING_EXTRA",
        True,
    )


@pytest.mark.parametrize(
    ("text", "width", "cut"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("日本語", 6, "日本語"), ("日本語", 5, "日本…"), ("ab", 0, "")],
)
def test_texts_are_cut_by_columns(text: str, width: int, cut: str) -> None:
    assert cut_line(text, width) == cut
    assert columns_of(fill_cell(text, width)) == width
    assert os.linesep not in cut
