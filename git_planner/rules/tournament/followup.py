"""Prompts of further turns, which must stand alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from git_planner.rules.planning.prompt import render_remarks

_OTHERS = re.compile(
    r"\b(?:sibling(?:s)?|(?:other|another|previous|earlier|first|second|third|fourth) "
    r"(?:variant|attempt|turn)s?|variant \d+|var\d+|attempt \d+|turn \d+|best[- ]of[- ]\d+)\b",
    re.IGNORECASE,
)


def depends_on_others(prompt: str) -> str | None:
    """Return the words by which a prompt speaks of other variants or turns; None if it stands alone."""
    match = _OTHERS.search(prompt)
    return " ".join(match[0].split()) if match else None


def with_remarks(prompt: str, rows: Sequence[Mapping[str, str]]) -> str:
    """Return a prompt with the words of reviewers below it, each line as a quotation.

    Args:
        prompt: the prompt.
        rows: the remarks, as a packet has them.
    """
    words = render_remarks({"review_remarks": list(rows)})
    return f"{prompt.rstrip()}\n\n## Words of reviewers\n\n{words}\n" if words else prompt
