"""The live view as a terminal program: panes, keys and dialogs.

Reading happens in a thread, and only when something changed; only what differs is drawn.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from textual import events
from textual.app import App, ComposeResult, SuspendNotSupported
from textual.binding import Binding
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from git_planner.errors import PlannerError
from git_planner.flows.board.overview.overview import Overview, TaskLine
from git_planner.flows.board.overview.session_lines import RunLine
from git_planner.report.top.actions import TopActions
from git_planner.report.top.dialogs import AnswerDialog, TextDialog
from git_planner.report.top.frame import cut_line
from git_planner.report.top.panes import NAMES, panes_of
from git_planner.report.top.row_list import RowList
from git_planner.rules.board.inbox import InboxItem
from git_planner.rules.printable import printable_line

_POLL_SECONDS = 1.0
# Exit status of a program whose terminal has gone: 128 and SIGHUP.
_HUNG_UP = 129
# From this size on all panes are shown together.
WIDE, HIGH = 120, 30
_TINY = 10
_KEYS = "1-6 pane  enter open  a answer  f follow  t attach  r refresh  q quit"


def end_with_terminal() -> None:
    """End this process at once when its terminal goes away: there is no screen to restore.

    An exception in a signal handler would end one task of the event loop only, and the view would go on.
    """
    loop = asyncio.get_running_loop()
    # Only the main thread of a program may handle signals.
    with suppress(RuntimeError, ValueError):
        loop.add_signal_handler(signal.SIGHUP, os._exit, _HUNG_UP)


def _has_terminal() -> bool:
    """Return whether the terminal of the output is still there."""
    try:
        os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1)
    except OSError:
        return False
    return True


class OverviewSource(Protocol):
    """Source of the overview; used by one thread at a time."""

    def is_changed(self) -> bool:
        """Return whether `read` would return anything new."""

    def read(self) -> Overview:
        """Return the overview."""


class TopApp(App[None]):
    """The live view of one repository.

    Args:
        reader: the source of the overview.
        actions: what the keys do.
        first: the overview to begin with; it is read at once when None.
    """

    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    CSS = """
    Screen { layout: vertical; }
    #summary, #keys { height: 1; width: 100%; }
    #summary { text-style: bold; }
    #keys { color: $text-muted; }
    #panes { height: 1fr; layout: grid; grid-size: 2 5; grid-rows: 2fr 2fr 1fr 1fr 1fr; }
    RowList { border: round $foreground 40%; border-title-color: $foreground; height: 100%; }
    RowList { scrollbar-size-vertical: 1; }
    RowList:focus { border: round $accent; border-title-color: $accent; }
    #tasks { row-span: 5; }
    .narrow #panes { layout: vertical; }
    .narrow RowList { display: none; height: 1fr; }
    .narrow RowList.active { display: block; }
    .tiny RowList, .tiny RowList:focus { border: none; }
    .tiny #keys { display: none; }
    TextDialog, AnswerDialog { align: center middle; }
    #dialog { width: 90%; height: 90%; border: round $accent; background: $surface; }
    AnswerDialog #dialog { height: auto; max-height: 90%; }
    AnswerDialog VerticalScroll { height: auto; max-height: 10; }
    """
    BINDINGS = [
        *(Binding(str(place), f"pane('{name}')", name, show=False) for place, name in enumerate(NAMES, 1)),
        Binding("tab", "turn(1)", "next pane", show=False, priority=True),
        Binding("shift+tab", "turn(-1)", "previous pane", show=False, priority=True),
        Binding("a", "answer", "answer"),
        Binding("f", "follow", "follow"),
        Binding("t", "attach", "attach"),
        Binding("r", "reload", "refresh"),
        Binding("question_mark,h", "help", "help"),
        Binding("q,ctrl+c", "quit", "quit"),
    ]

    def __init__(self, reader: OverviewSource, actions: TopActions, first: Overview | None = None) -> None:
        super().__init__()
        self._reader, self._actions, self._overview = reader, actions, first
        self._active = "inbox"
        self._is_terminal = _has_terminal()
        self._is_reading = False
        self._summary = ""

    def compose(self) -> ComposeResult:
        """Lay out the panes; the tasks come first, since they fill the left side."""
        yield Static(id="summary", markup=False)
        with Container(id="panes"):
            for name in ("tasks", *(name for name in NAMES if name != "tasks")):
                yield RowList(name)
        yield Static(_KEYS, id="keys", markup=False)

    def on_mount(self) -> None:
        """Show the first overview, and look for changes from now on."""
        end_with_terminal()
        self._arrange(self.size.width, self.size.height)
        if self._overview is not None:
            self._show(self._overview)
        self.action_pane(self._active)
        self.set_interval(_POLL_SECONDS, self._poll)
        if self._overview is None:
            self.action_reload()

    def on_resize(self, event: events.Resize) -> None:
        """Arrange the panes for another size of the terminal."""
        self._arrange(event.size.width, event.size.height)

    def _arrange(self, width: int, height: int) -> None:
        self.screen_stack[0].set_class(width < WIDE or height < HIGH, "narrow")
        self.screen_stack[0].set_class(height < _TINY, "tiny")
        self._show_summary(width)

    def _poll(self) -> None:
        if self._is_terminal and not _has_terminal():
            os._exit(_HUNG_UP)
        if not self._is_reading:
            self._is_reading = True
            self.run_worker(self._read_changes, thread=True, group="read", exit_on_error=False)

    def _read_changes(self, forced: bool = False) -> None:
        """Read in a thread, and hand over what is new."""
        try:
            if forced or self._reader.is_changed():
                overview = self._reader.read()
                self.call_from_thread(self._show, overview)
        except PlannerError as error:
            self.call_from_thread(self._tell, error)
        finally:
            self._is_reading = False

    def _show(self, overview: Overview) -> None:
        self._overview = overview
        for name, pane in panes_of(overview).items():
            self.screen_stack[0].query_one(f"#{name}", RowList).show(pane)
        self._show_summary(self.size.width)

    def _show_summary(self, width: int) -> None:
        """Show the panes with their sizes, the active one marked."""
        panes = {pane.id: len(pane.pane.rows) for pane in self.screen_stack[0].query(RowList)}
        parts = []
        for place, name in enumerate(NAMES, 1):
            text = f"{place} {name} {panes.get(name, 0)}"
            parts.append(f"[{text}]" if name == self._active else f" {text} ")
        problems = len(self._overview.problems) if self._overview else 0
        text = cut_line("".join(parts) + (f"  {problems} not read" if problems else ""), width)
        if text == self._summary:
            return
        self._summary = text
        self.screen_stack[0].query_one("#summary", Static).update(Content(text))

    def _tell(self, error: PlannerError) -> None:
        text = printable_line(error.message) + (f"; {printable_line(error.hint)}" if error.hint else "")
        self.notify(text, severity="error", markup=False)

    def _active_list(self) -> RowList:
        return self.screen_stack[0].query_one(f"#{self._active}", RowList)

    def action_pane(self, name: str) -> None:
        """Show a pane and give it the focus."""
        if len(self.screen_stack) > 1:
            return
        self._active = name
        for pane in self.query(RowList):
            pane.set_class(pane.id == name, "active")
        self._active_list().focus()
        self._show_summary(self.size.width)

    def action_turn(self, step: int) -> None:
        """Go to the next pane."""
        self.action_pane(NAMES[(NAMES.index(self._active) + step) % len(NAMES)])

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Mark the pane that got the focus by the mouse."""
        if isinstance(event.widget, RowList) and event.widget.id != self._active:
            self.action_pane(str(event.widget.id))

    def action_reload(self) -> None:
        """Read everything again."""
        self._is_reading = True
        self.run_worker(lambda: self._read_changes(True), thread=True, group="read", exit_on_error=False)

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """Show an item in full."""
        pane, item = event.pane, event.row.item
        self._in_thread(
            lambda: self._actions.describe(pane, item),
            lambda lines: self.push_screen(TextDialog(event.row.key, lines)),
        )

    def action_answer(self) -> None:
        """Answer the question of the selected item or task."""
        row = None if len(self.screen_stack) > 1 else self._active_list().selected
        item = self._question(row.item if row else None)
        if item is None or item.plan is None:
            self.notify("no question is selected", markup=False)
            return
        plan, task = item.plan, item.subject

        def send(text: str | None) -> None:
            if text is not None:
                self._in_thread(lambda: self._actions.answer(plan, task, text), self._answered)

        self.push_screen(AnswerDialog(f"{plan} {task}", item.text), send)

    def _answered(self, text: str) -> None:
        self.notify(printable_line(text), markup=False)
        self.action_reload()

    def _question(self, item: Any) -> InboxItem | None:
        """Return the question that an item is, or that the inbox has for a task or run."""
        if isinstance(item, InboxItem):
            return item if item.kind == "question" else None
        if isinstance(item, TaskLine | RunLine) and self._overview is not None:
            for waiting in self._overview.inbox:
                if (waiting.kind, waiting.plan, waiting.subject) == ("question", item.plan, item.task):
                    return waiting
        return None

    def _run(self) -> RunLine | None:
        """Return the run that is selected, or the last one of the selected task."""
        row = None if len(self.screen_stack) > 1 else self._active_list().selected
        item = row.item if row else None
        if isinstance(item, RunLine):
            return item
        task = item.task if isinstance(item, TaskLine) else getattr(item, "subject", None)
        for run in self._overview.runs if self._overview else ():
            if run.plan == getattr(item, "plan", None) and task in (run.task, run.run):
                return run
        return None

    def action_follow(self) -> None:
        """Follow the output of a run."""
        run = self._run()
        if run is None:
            self.notify("no run is selected", markup=False)
            return

        def read() -> Sequence[str]:
            return self._actions.output(run.run)

        self._in_thread(read, lambda lines: self.push_screen(TextDialog(run.run, lines, read)))

    def action_attach(self) -> None:
        """Leave the screen to the terminal of a run until it is left."""
        run = self._run()
        if run is None or not run.attach:
            self.notify("no session with a terminal is selected", markup=False)
            return
        try:
            with self.suspend():
                status = self._actions.attach(run.attach)
            if status != 0:
                text = f"'{' '.join(run.attach)}' ended with status {status}"
                self.notify(text, severity="error", markup=False)
        except PlannerError as error:
            self._tell(error)
        except SuspendNotSupported:
            self.notify(f"this terminal cannot be left; run: {' '.join(run.attach)}", markup=False)
        self.refresh()

    def action_help(self) -> None:
        """Show the keys."""
        if len(self.screen_stack) == 1:
            self.push_screen(TextDialog("keys", [*_KEYS.split("  "), "tab next pane", "arrows move"]))

    def _in_thread(self, work: Callable[[], Any], done: Callable[[Any], Any]) -> None:
        """Do work in a thread, then go on with its result here; show its error."""

        def run() -> None:
            try:
                result = work()
            except PlannerError as error:
                self.call_from_thread(self._tell, error)
            else:
                self.call_from_thread(done, result)

        self.run_worker(run, thread=True, group="work", exit_on_error=False)
