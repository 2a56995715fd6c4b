"""Escape texts of others for Markdown that people read on hosting sites. Pure."""

from __future__ import annotations

import re

from git_planner.rules.printable import printable

# Hosting sites refuse texts of more than 65,536 characters.
MAX_BODY = 60_000
_JOINER = "\u200c"
# What hosting sites turn into mentions, references and links, although it is escaped: a joiner separates it.
_LIVE = re.compile(r"(?:@(?=\w)|[#!](?=\d)|:(?=//)|\bGH-(?=\d)|\bwww(?=\.))", re.IGNORECASE)
_SPECIAL = re.compile(r"([\\`*_\[\]<>|@#!&~$])")


def escape_line(text: str, most: int | None = None) -> str:
    """Put a text on one line and disarm Markdown: links, images, tags, mentions, references, controls.

    Args:
        text: the text.
        most: the longest that it may be before it is escaped; a longer one is cut, and ends in '…'.
    """
    line = _one_line(text, most)
    return _SPECIAL.sub(r"\\\1", _LIVE.sub(rf"\g<0>{_JOINER}", line))


def code_span(text: str, most: int = 200) -> str:
    """Return a text as a code span, in which nothing is a link or a mention; for lists, not for tables."""
    return f"`{_one_line(text.replace('`', chr(39)), most) or '(empty)'}`"


def bound_body(body: str, note: str, most: int = MAX_BODY) -> str:
    """Return a description that hosting sites accept: a longer one is cut at a line, with a note."""
    if len(body) <= most:
        return body
    ending = f"\n\n({note})\n"
    return body[: most - len(ending)].rpartition("\n")[0] + ending


def _one_line(text: str, most: int | None) -> str:
    line = printable(" ".join(text.split()))
    if most is not None and len(line) > most:
        line = line[: most - 1].rstrip() + "…"
    return line
