"""Dialogs of the live view: a text to read, output to follow, a question to answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from git_planner.rules.printable import printable

_FOLLOW_SECONDS = 1.0
Lines = Callable[[], Sequence[str]]


class TextDialog(ModalScreen[None]):
    """A text to read. With `again`, it is read anew every second, and its end stays in sight.

    Args:
        title: its title.
        lines: the text.
        again: returns the text anew; called in a thread.
    """

    BINDINGS = [Binding("escape,q", "close", "close"), Binding("down,j", "down", show=False)]

    def __init__(self, title: str, lines: Sequence[str], again: Lines | None = None) -> None:
        super().__init__()
        self._title, self._lines, self._again = title, list(lines), again

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        with VerticalScroll(id="dialog") as box:
            box.border_title = Content(printable(self._title))
            box.border_subtitle = "Esc closes"
            yield Static(_content(self._lines), id="text", markup=False)

    def on_mount(self) -> None:
        """Start following."""
        self.query_one("#dialog").focus()
        if self._again is not None:
            self.set_interval(_FOLLOW_SECONDS, self._follow)
            self.query_one("#dialog", VerticalScroll).scroll_end(animate=False)

    def _follow(self) -> None:
        self.run_worker(self._read_again, thread=True, exclusive=True, exit_on_error=False)

    def _read_again(self) -> None:
        assert self._again is not None
        self.app.call_from_thread(self._show, list(self._again()))

    def _show(self, lines: list[str]) -> None:
        if lines != self._lines and self.is_attached:
            self._lines = lines
            box = self.query_one("#dialog", VerticalScroll)
            is_at_end = box.scroll_offset.y >= box.max_scroll_y - 1
            self.query_one("#text", Static).update(_content(lines))
            if is_at_end:
                box.scroll_end(animate=False)

    def action_close(self) -> None:
        """Close the dialog."""
        self.dismiss(None)

    def action_down(self) -> None:
        """Scroll down."""
        self.query_one("#dialog", VerticalScroll).scroll_down(animate=False)


class AnswerDialog(ModalScreen[str | None]):
    """A question with a line for its answer; an empty answer is none.

    Args:
        title: whose question it is.
        question: its text.
    """

    BINDINGS = [Binding("escape", "close", "close")]

    def __init__(self, title: str, question: str) -> None:
        super().__init__()
        self._title, self._question = title, question

    def compose(self) -> ComposeResult:
        """Lay out question and answer."""
        with Vertical(id="dialog") as box:
            box.border_title = Content(printable(self._title))
            box.border_subtitle = "Enter answers, Esc closes"
            with VerticalScroll(can_focus=False):
                yield Static(_content(self._question.splitlines()), markup=False)
            yield Input(placeholder="answer", id="answer")

    def on_mount(self) -> None:
        """Let the answer be typed."""
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Give the answer back."""
        self.dismiss(event.value.strip() or None)

    def action_close(self) -> None:
        """Close the dialog without an answer."""
        self.dismiss(None)


def _content(lines: Sequence[str]) -> Content:
    return Content("\n".join(printable(line) for line in lines))
