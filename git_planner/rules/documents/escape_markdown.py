"""Escape texts of others for Markdown that people read on hosting sites. Pure."""

from __future__ import annotations

import re


def escape_line(text: str, most: int | None = None) -> str:
    """Put a text on one line and escape Markdown links, images, tags and mentions.

    Args:
        text: the text.
        most: the longest that it may be before it is escaped; a longer one is cut, and ends in '…'.
    """
    line = " ".join(text.split())
    if most is not None and len(line) > most:
        line = line[: most - 1].rstrip() + "…"
    return re.sub(r"([\\`*_\[\]<>|@#!])", r"\\\1", line)
