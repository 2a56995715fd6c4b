"""Find placeholders: text that stands for content still to be written. Pure."""

from __future__ import annotations

import re

# '<fill: …>', '<your command>', 'tbd', '???', a lone '…'.
_PLACEHOLDER = re.compile(
    r"<\s*(?:fill|your|insert|replace|describe|add|todo|tbd|command|text|title|…|\.\.\.)\b[^>]{0,400}>"
    r"|<(?=[^<>]*>)[^<>]*?(?:…|\.\.\.)[^<>]*>|^\W*(?:TO-?DO|TBD|FIX-?ME)\b|^\s*(?:\?{2,}|…|\.{3})\s*$",
    re.IGNORECASE,
)


def find_placeholder(text: str) -> str | None:
    """Return the first placeholder of a text, or None."""
    match = _PLACEHOLDER.search(text)
    return match[0].strip() if match else None
