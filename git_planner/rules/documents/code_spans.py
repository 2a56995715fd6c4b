"""Find code spans in Markdown: texts between equal runs of backquotes, as in CommonMark. Pure.

Takes time in proportion to the text: a regular expression for it would try every run with every later one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RUN = re.compile(r"`+")


@dataclass(frozen=True, slots=True)
class CodeSpan:
    """A code span: its place including the backquotes, and its content without spaces around it."""

    start: int
    end: int
    text: str


def find_code_spans(text: str) -> list[CodeSpan]:
    """Return the code spans of a text in order; a run of backquotes without an equal one is literal."""
    runs = [match.span() for match in _RUN.finditer(text)]
    following: list[int | None] = [None] * len(runs)
    latest: dict[int, int] = {}
    for place in range(len(runs) - 1, -1, -1):
        length = runs[place][1] - runs[place][0]
        following[place] = latest.get(length)
        latest[length] = place
    spans: list[CodeSpan] = []
    place = 0
    while place < len(runs):
        closing = following[place]
        if closing is None:
            place += 1
            continue
        (start, inner), (outer, end) = runs[place], runs[closing]
        spans.append(CodeSpan(start, end, text[inner:outer].strip()))
        place = closing + 1
    return spans


def outside_code(text: str, replacement: str = " ") -> str:
    """Return a text with every code span replaced."""
    parts, done = [], 0
    for span in find_code_spans(text):
        parts += [text[done : span.start], replacement]
        done = span.end
    return "".join([*parts, text[done:]])
