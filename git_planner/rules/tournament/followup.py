"""Prompts of further turns, which must stand alone. Pure."""

from __future__ import annotations

import re

_OTHERS = re.compile(
    r"\b(?:sibling(?:s)?|(?:other|another|previous|earlier|first|second|third|fourth) "
    r"(?:variant|attempt|turn)s?|variant \d+|var\d+|attempt \d+|turn \d+|best[- ]of[- ]\d+)\b",
    re.IGNORECASE,
)


def depends_on_others(prompt: str) -> str | None:
    """Return the words by which a prompt speaks of other variants or turns; None if it stands alone."""
    match = _OTHERS.search(prompt)
    return " ".join(match[0].split()) if match else None
