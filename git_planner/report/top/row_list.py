"""A list of rows of which only the visible lines are drawn, so that a thousand cost no more than twenty."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from git_planner.report.top.frame import cut_line, fill_cell, join_cells
from git_planner.report.top.panes import PaneRow, TopPane

_TONES = {
    **dict.fromkeys(("needs_input", "question", "blocked", "dead", "refused", "lost", "disputed"), "red"),
    **dict.fromkeys(
        ("review_ready", "agent_done", "review", "stalled", "waits", "worse", "invalid"), "yellow"
    ),
    **dict.fromkeys(("in_progress", "alive", "held", "current"), "cyan"),
    **dict.fromkeys(("done", "improved"), "green"),
    **dict.fromkeys(("deferred", "cancelled", "ended"), "bright_black"),
}


class RowList(ScrollView, can_focus=True):
    """A pane of the overview, with a cursor that stays on its row when rows come and go."""

    BINDINGS = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("home,g", "move(-1000000)", "first", show=False),
        Binding("end,G", "move(1000000)", "last", show=False),
        Binding("enter,o", "open", "open", show=False),
    ]

    class Opened(Message):
        """A row was opened by key or mouse."""

        def __init__(self, pane: str, row: PaneRow) -> None:
            super().__init__()
            self.pane, self.row = pane, row

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self.border_title = f"{name} 0"
        self.pane = TopPane(name, (), ())
        self.cursor = 0
        self._widths: list[int] = []

    @property
    def selected(self) -> PaneRow | None:
        """Return the row under the cursor."""
        return self.pane.rows[self.cursor] if self.cursor < len(self.pane.rows) else None

    def show(self, pane: TopPane) -> None:
        """Show other rows; nothing is drawn when they are the same."""
        old = self.pane
        if old.columns == pane.columns and _texts(old) == _texts(pane):
            self.pane = pane
            return
        key, cursor, widths = self.selected.key if self.selected else None, self.cursor, self._widths
        self.pane = pane
        places = (place for place, row in enumerate(pane.rows) if row.key == key)
        self.cursor = next(places, max(0, min(self.cursor, len(pane.rows) - 1)))
        self._widths = pane.widths(pane.rows)
        if len(old.rows) == len(pane.rows) and (widths, cursor) == (self._widths, self.cursor):
            self._redraw(old)
            return
        self.virtual_size = Size(0, len(pane.rows))
        self.border_title = f"{self.pane.name} {len(self.pane.rows)}"
        self.refresh()

    def _redraw(self, old: TopPane) -> None:
        """Draw the visible lines that differ."""
        top = self.scroll_offset.y
        for place in range(top, min(top + self.size.height, len(old.rows))):
            if (old.rows[place].cells, old.rows[place].tone) != self.pane.rows[place][1:3]:
                self.refresh(Region(0, place - top, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """Draw one visible line."""
        width, place = self.size.width, y + self.scroll_offset.y
        if place >= len(self.pane.rows):
            text = "none" if place == 0 else ""
            return Strip([Segment(fill_cell(text, width), self.rich_style + Style(dim=True))], width)
        row = self.pane.rows[place]
        text = fill_cell(cut_line(join_cells(row.cells, self._widths), width), width)
        style = self.rich_style + Style(color=_TONES.get(row.tone))
        if place == self.cursor:
            style += Style(reverse=True) if self.has_focus else Style(underline=True)
        return Strip([Segment(text, style)], width)

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        last = max(0, len(self.pane.rows) - 1)
        self.cursor = max(0, min(last, self.cursor + step))
        self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False)
        self.refresh()

    def action_page(self, direction: int) -> None:
        """Move the cursor by a page."""
        self.action_move(direction * max(1, self.size.height - 1))

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if self.selected is not None:
            self.post_message(self.Opened(self.pane.name, self.selected))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the row that was clicked."""
        place = event.y + self.scroll_offset.y
        if place < len(self.pane.rows):
            self.action_move(place - self.cursor)

    def on_focus(self) -> None:
        """Draw the cursor of a list with the focus."""
        self.refresh()

    def on_blur(self) -> None:
        """Draw the cursor of a list without the focus."""
        self.refresh()


def _texts(pane: TopPane) -> list[tuple[tuple[str, ...], str]]:
    return [(row.cells, row.tone) for row in pane.rows]
