"""Find placeholders: text that only marks where something still has to be written. Pure."""

from __future__ import annotations

import re

# '<fill: …>', '<your command>', 'tbd', '???', '…' standing alone: nobody has thought about it yet.
_PLACEHOLDER = re.compile(
    r"<\s*(?:fill|your|insert|replace|describe|add|todo|tbd|command|text|title|…|\.\.\.)\b[^>]{0,400}>"
    r"|<(?=[^<>]*>)[^<>]*?(?:…|\.\.\.)[^<>]*>|^\W*(?:TO-?DO|TBD|FIX-?ME)\b|^\s*(?:\?{2,}|…|\.{3})\s*$",
    re.IGNORECASE,
)


def find_placeholder(text: str) -> str | None:
    """The part of a text that only holds a place for what somebody still has to write, or None."""
    match = _PLACEHOLDER.search(text)
    return match[0].strip() if match else None
