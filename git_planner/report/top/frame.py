"""One plain frame of the overview, for pipes and logs."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from git_planner.flows.board.overview.overview import Overview
from git_planner.report.top.panes import NAMES, TopPane, panes_of, summary_of
from git_planner.rules.printable import printable_line

_MOST_ROWS = 10


def render_frame(overview: Overview, width: int, most: int = _MOST_ROWS) -> list[str]:
    """Return the lines of a frame: every part with its first rows, cut to the width.

    Args:
        overview: what is shown.
        width: the number of columns.
        most: how many rows of a part are shown.
    """
    lines = [cut_line(f"{overview.at}  {summary_of(overview)}", width)]
    panes = panes_of(overview)
    for name in NAMES:
        lines += ["", *_pane_lines(panes[name], width, most)]
    for problem in overview.problems:
        lines += [cut_line(f"not read: {printable_line(problem)}", width)]
    return lines


def _pane_lines(pane: TopPane, width: int, most: int) -> list[str]:
    rows = pane.rows[:most]
    if not rows:
        return [f"{pane.name}: none"]
    widths = pane.widths(rows)
    lines = [f"{pane.name}: {len(pane.rows)}"]
    lines += [cut_line(f"  {join_cells(row.cells, widths)}", width) for row in rows]
    if len(pane.rows) > most:
        lines.append(f"  … {len(pane.rows) - most} more")
    return lines


def join_cells(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return cells beside each other, each but the last cut or filled to its width."""
    fixed = [fill_cell(cell, width) for cell, width in zip(cells, widths, strict=False)]
    return "  ".join([*fixed, *cells[len(fixed) :]]).rstrip()


def fill_cell(text: str, width: int) -> str:
    """Return a text cut or filled to a number of columns."""
    text = cut_line(text, width)
    return text + " " * (width - columns_of(text))


def cut_line(text: str, width: int) -> str:
    """Return a text of at most so many columns, with an ellipsis where it is cut."""
    if text.isascii() and len(text) <= width:
        return text
    if columns_of(text) <= width:
        return text
    kept, used = [], 0
    for letter in text:
        used += _columns(letter)
        if used > width - 1:
            break
        kept.append(letter)
    return "".join(kept) + "…" if width > 0 else ""


def columns_of(text: str) -> int:
    """Return the number of columns that a terminal needs for a text."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1
