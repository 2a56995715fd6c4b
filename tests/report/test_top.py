"""The live view: its keys, its screens in several sizes, and what it does in a real terminal."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from git_planner.errors import PlannerError
from git_planner.flows.board.sessions.session_store import save_session
from git_planner.host.process_identity import living_pids
from git_planner.report.top.app import TopApp
from git_planner.report.top.dialogs import AnswerDialog, TextDialog
from git_planner.report.top.row_list import RowList
from tests.board.stored_run import session_of, store_run
from tests.report.watched import Watch, overview, screen_text, settle
from tests.support.lab import Lab, command_line
from tests.support.servers.tmux import TMUX_IS_MISSING, Tmux
from tests.support.waiting import holds_in_time
from tests.support.workshop import workshop

ROOT, SCREENS = Path(__file__).parents[2], Path(__file__).parent / "screens"


@pytest.fixture(autouse=True)
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)


def rows(app: TopApp, name: str) -> RowList:
    """Return a list of the main screen."""
    return app.screen_stack[0].query_one(f"#{name}", RowList)


def test_keys_move_and_open() -> None:
    watch = Watch()

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        assert rows(app, "inbox").has_focus
        await pilot.press("2", "down", "j", "up")
        assert rows(app, "tasks").has_focus
        assert rows(app, "tasks").cursor == 1
        await pilot.press("tab")
        assert rows(app, "runs").has_focus
        await pilot.press("shift+tab", "end", "home", "pagedown", "enter")
        await settle(app, pilot)
        assert isinstance(app.screen, TextDialog)
        text = "\n".join(screen_text(app))
        assert "all about TaskLine(" in text
        assert "Which \\x1b[2J one? \\u202e[red]x[/red]" in text
        await pilot.press("escape")
        assert not isinstance(app.screen, TextDialog)
        await pilot.press("question_mark")
        assert "a answer" in "\n".join(screen_text(app))
        # Other keys do nothing behind a dialog.
        await pilot.press("3", "a", "f")
        assert len(app.screen_stack) == 2
        await pilot.press("q", "q")

    assert watch.drive(act).return_code == 0
    assert watch.calls == [("describe", "tasks")]


@pytest.mark.parametrize("keys", [("1",), ("2", *("down",) * 4), ("3", "down")])
def test_a_question_is_answered_from_where_it_is_seen(keys: tuple[str, ...]) -> None:
    watch = Watch()

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press(*keys, "a")
        assert isinstance(app.screen, AnswerDialog)
        assert "Which \\x1b[2J one?" in "\n".join(screen_text(app))
        app.screen.query_one(Input).value = " JSON "
        await pilot.press("enter")
        await settle(app, pilot)
        assert len(app.screen_stack) == 1
        assert "task_005 is answered" in "\n".join(screen_text(app))

    watch.drive(act)
    assert watch.calls == [("answer", "speed", "task_005", "JSON"), ("read",)]


def test_no_answer_and_no_question() -> None:
    watch = Watch()

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("a", "enter")
        assert len(app.screen_stack) == 1
        await pilot.press("a", "escape", "down", "a")
        assert len(app.screen_stack) == 1
        assert "no question is selected" in "\n".join(screen_text(app))

    watch.drive(act)
    assert watch.calls == []


def test_an_error_is_shown_and_the_view_goes_on() -> None:
    watch = Watch(fault=PlannerError("E_TRANSITION", "it is answered \x1b[2J", hint="look again"))

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await settle(app, pilot)
        assert "it is answered \\x1b[2J; look again" in " ".join(" ".join(screen_text(app)).split())
        await pilot.press("3", "f", "1", "a", "x", "enter")
        await settle(app, pilot)
        assert len(app.screen_stack) == 1

    watch.drive(act)


def test_output_is_followed() -> None:
    watch = Watch()

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("2", "f")
        await settle(app, pilot)
        assert "line 1" in "\n".join(screen_text(app))
        watch.output += [f"line {number}" for number in range(2, 60)]
        dialog = app.screen
        assert isinstance(dialog, TextDialog)
        dialog._follow()
        await settle(app, pilot)
        assert "line 59" in "\n".join(screen_text(app))
        # The end does not run away from somebody who has scrolled back.
        await pilot.press("home")
        watch.output.append("the last")
        dialog._follow()
        await settle(app, pilot)
        assert "line 1" in "\n".join(screen_text(app))

    watch.drive(act)
    assert set(watch.calls) == {("output", "20261130T120001Z-abcdefgh")}


def test_a_screen_that_cannot_be_left_names_the_command() -> None:
    watch = Watch()

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("3", "down", "t")
        assert "no session with a" in "\n".join(screen_text(app))
        await pilot.press("up", "t")
        shown = " ".join(" ".join(screen_text(app)).split())
        assert re.search("cannot be left; run:.* git x ", shown), shown

    watch.drive(act)
    assert watch.calls == []


def test_only_lines_that_differ_are_drawn_and_the_cursor_stays_on_its_row() -> None:
    watch = Watch(overview(1000))
    drawn: list[int] = []

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("2", "down", "down")
        assert rows(app, "tasks").selected.key == "speed task_003"
        listed = rows(app, "tasks")
        plain = listed.render_line
        listed.render_line = lambda y: (drawn.append(y), plain(y))[1]  # type: ignore[method-assign]
        tasks = list(watch.page.tasks)
        tasks[1] = overview().tasks[1].__class__("speed", "task_002", "blocked", "other", None)
        tasks[900] = tasks[1].__class__("speed", "task_901", "blocked", "other", None)
        watch.put(tasks=tuple(tasks))
        app._poll()
        await settle(app, pilot)
        assert drawn == [1]
        assert "task_002   blocked" in "\n".join(screen_text(app))
        watch.put(tasks=tuple(tasks[1:]))
        app._poll()
        await settle(app, pilot)
        assert rows(app, "tasks").selected.key == "speed task_003"
        watch.put(tasks=())
        app._poll()
        await settle(app, pilot)
        await pilot.press("enter", "down")
        assert rows(app, "tasks").selected is None

    watch.drive(act)


def test_a_small_terminal_and_a_changed_size() -> None:
    watch = Watch()

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        assert screen_text(app)[0] == "[1 inbox 2] 2 tasks…"
        assert len(screen_text(app)) == 5
        await pilot.press("2", "end")
        assert screen_text(app)[-1].startswith("task_012")
        await pilot.resize_terminal(160, 50)
        await pilot.pause()
        assert all(rows(app, name).display for name in ("inbox", "tasks", "records"))
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        shown = [name for name in ("inbox", "tasks", "runs", "records") if rows(app, name).display]
        assert shown == ["tasks"]

    watch.drive(act, (20, 5))


def test_the_mouse_chooses_a_row() -> None:
    watch = Watch()

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.click("#tasks", offset=(5, 4))
        assert rows(app, "tasks").has_focus
        assert app._active == "tasks"

    watch.drive(act, (160, 50))


def has_colour(shown: str) -> bool:
    """Return whether a captured screen has other colours than grey ones, of 256 or of 16 million."""
    exact = re.findall(r"38;2;(\d+);(\d+);(\d+)", shown)
    indexed = {int(number) for number in re.findall(r"38;5;(\d+)", shown)}
    return any(len(set(colour)) > 1 for colour in exact) or any(
        number < 232 and number not in (0, 7, 8, 15, 16, 59, 102, 145, 188, 231) for number in indexed
    )


def normal(svg: str) -> str:
    """Return a screenshot without what differs from run to run: its random id."""
    return re.sub(r"terminal-\d+", "terminal", svg)


@pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_screens_look_as_stored(size: tuple[int, int], tmp_path: Path) -> None:
    watch = Watch()
    shots: list[str] = []

    async def act(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("2", "down")
        shots.append(normal(app.export_screenshot(title="git planner top")))

    watch.drive(act, size)
    stored = SCREENS / f"top-{size[0]}x{size[1]}.svg"
    new = tmp_path / stored.name
    new.write_text(shots[0] + "\n")
    assert stored.exists(), f"look at {new} and copy it to {stored}"
    assert new.read_text() == stored.read_text(), f"compare {new} with {stored}"


@pytest.mark.skipif(TMUX_IS_MISSING, reason="tmux is not installed")
@pytest.mark.parametrize("setting", ["auto", "never"])
def test_in_a_real_terminal(lab: Lab, setting: str) -> None:
    workshop(lab)
    for title in ("first \u202e", "second"):
        lab.run("git-plan", "task", "add", title)
    lab.git("config", "color.ui", setting)
    env = {**lab.env, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
    env.pop("NO_COLOR")
    with Tmux(lab.path) as tmux:
        terminal = tmux.start(*command_line("git-planner", "top"), env=env)
        target = tmux.run("list-panes", "-a", "-F", "#{pane_id}")
        assert holds_in_time(lambda: "[1 inbox 0]" in tmux.screen(terminal)), tmux.screen(terminal)
        tmux.run("send-keys", "-t", target, "2")
        assert holds_in_time(lambda: "task_001  todo  first \\u202e" in tmux.screen(terminal))
        shown = tmux.run("capture-pane", "-p", "-e", "-t", target)
        assert has_colour(shown) == (setting == "auto")
        lab.run("git-plan", "task", "add", "third")
        assert holds_in_time(lambda: "task_003  todo  third" in tmux.screen(terminal))
        run = store_run(lab, "task_001")
        with lab.entered():
            save_session(lab.repo, session_of(run), publish=False)
        tmux.run("send-keys", "-t", target, "3")
        assert holds_in_time(lambda: "worker-task_001  running" in tmux.screen(terminal))
        # Its window is not there, so the command that attaches ends at once, and the view comes back.
        tmux.run("send-keys", "-t", target, "t")
        assert holds_in_time(lambda: "press Enter to go back" in tmux.screen(terminal))
        assert "window @1 of the tmux server 'git-planner'" in tmux.screen(terminal)
        tmux.run("send-keys", "-t", target, "Enter")
        assert holds_in_time(lambda: "worker-task_001  running" in tmux.screen(terminal))
        tmux.run("send-keys", "-t", target, "2")
        tmux.run("resize-window", "-t", target, "-x", "40", "-y", "8")
        assert holds_in_time(lambda: "1-6 pane" not in tmux.screen(terminal))
        tmux.run("send-keys", "-t", target, "q")
        assert holds_in_time(lambda: "task_003" not in tmux.screen(terminal))


@pytest.mark.skipif(TMUX_IS_MISSING, reason="tmux is not installed")
def test_a_command_that_was_attached_to_tells_its_failure(lab: Lab) -> None:
    env = {**lab.env, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    with Tmux(lab.path) as tmux:
        script = "from tests.report.watched import Watch; Watch().run()"
        terminal = tmux.start(sys.executable, "-c", script, env=env)
        target = tmux.run("list-panes", "-a", "-F", "#{pane_id}")
        assert holds_in_time(lambda: "[1 inbox 2]" in tmux.screen(terminal)), tmux.screen(terminal)
        tmux.run("send-keys", "-t", target, "3", "t")
        assert holds_in_time(lambda: "ended with status 3" in tmux.screen(terminal)), tmux.screen(terminal)
        tmux.run("send-keys", "-t", target, "q")


@pytest.mark.skipif(TMUX_IS_MISSING, reason="tmux is not installed")
@pytest.mark.parametrize("ignored", [False, True])
def test_it_ends_with_its_terminal(lab: Lab, ignored: bool) -> None:
    workshop(lab)
    hangup = "trap '' HUP; " if ignored else ""
    program = shlex.join(command_line("git-planner", "top"))
    with Tmux(lab.path) as tmux:
        terminal = tmux.start(
            "sh", "-c", f"{hangup}exec {program}", env={**lab.env, "TERM": "screen-256color"}
        )
        assert holds_in_time(lambda: "[1 inbox 0]" in tmux.screen(terminal)), tmux.screen(terminal)
        assert terminal.process is not None
        tmux.run("kill-server")
        assert holds_in_time(lambda: living_pids(terminal.process) == [])
