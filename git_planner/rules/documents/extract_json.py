"""Extract the one JSON object from a text that was pasted from a chat. Pure.

Chats put code fences and prose around an answer, and word processors replace its quotes by typographic ones.
An object that parses is taken unchanged; otherwise only quotes and spaces outside strings are repaired. A
broken, truncated or ambiguous answer is refused with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules.documents import canonical_json
from git_planner.rules.documents.messages import show_value

DIRECTIVE_KEYS = (
    "objective",
    "primary_hypothesis",
    "strategy_family",
    "strategy_modifiers",
    "risk",
    "expected_effect",
    "change_summary",
    "step_plan",
    "validation",
    "next_packet_requests",
    "did_web_search",
)
PLAN_OPTIONS_KEYS = ("goal", "options")
PLANNING_PLAN_KEYS = (
    "plan_summary",
    "rationale",
    "focus_metrics",
    "guardrails",
    "risks",
    "validation",
    "steps",
)

_QUOTES = '"\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02'
_ODD_SPACES = "\u00a0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
_GAP = rf"[ \t\r\n{_ODD_SPACES}]*"
_START = re.compile(rf"\{{{_GAP}[{_QUOTES}}}]")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_ODD = re.compile(rf"[{_QUOTES[1:]}{_ODD_SPACES}]")
_LOOSE = re.compile(rf"[{_QUOTES}{_ODD_SPACES}\[\]{{}}]")
_STRAIGHT_TEXT = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
# A quote ends a string only if valid JSON could follow: a string in odd quotes may hold quotes.
_VALUE = rf"{_GAP}(?:[{_QUOTES}\[{{0-9-]|true|false|null)"
_ENDS = rf"(?={_GAP}(?:[}}\]]|[,:]{_VALUE}|,{_GAP}[}}\]]|\Z))"
_QUOTE = re.compile(rf'\\.|[{_QUOTES}]{_ENDS}|"', re.DOTALL)
_QUOTE_ENDS = re.compile(_ENDS)
# Limits for texts with many opening braces, which would be scanned once per brace.
_MAX_SCANNED = 3 * canonical_json.MAX_BYTES
_MAX_TRIES = 2000


@dataclass(slots=True)
class _Search:
    """State of a scan: objects, each with a mark if part of a truncated one; broken and truncated pieces."""

    objects: list[tuple[dict[str, Any], bool]] = field(default_factory=list)
    broken: list[tuple[int, str]] = field(default_factory=list)
    cut_off: list[int] = field(default_factory=list)


def extract_json(
    data: bytes | str,
    where: str = "the answer",
    *,
    keys: Sequence[Collection[str]] = (DIRECTIVE_KEYS, PLANNING_PLAN_KEYS),
) -> dict[str, Any]:
    """Extract the answer from a pasted text.

    Args:
        data: the text, or its bytes in UTF-8.
        where: its name in errors.
        keys: the expected keys of each kind of answer, which tell it from other objects in the text.

    Returns:
        The object, parsed as strictly as a file, but not yet validated against a schema.

    Raises:
        PlannerError: E_JSON if there is no object, several candidates, or a truncated or broken one.
    """
    text = canonical_json.read_text(data, where)
    search = _search_objects(text, where)
    best = _best_candidates(search.objects, keys)
    if len(best) > 1:
        raise PlannerError(
            "E_JSON",
            f"'{where}' holds {len(best)} different JSON objects that could be the answer",
            hint="leave only the answer",
        )
    if not best or (_key_score(best[0], keys) == 0 and (search.broken or search.cut_off)):
        raise _extraction_error(text, search, where)
    return best[0]


def _best_candidates(
    objects: Sequence[tuple[dict[str, Any], bool]], keys: Sequence[Collection[str]]
) -> list[dict[str, Any]]:
    """Return the objects with most of the expected keys; parts of a truncated one only if they have all."""
    scored = [(_key_score(document, keys), document, part) for document, part in objects]
    scored = [entry for entry in scored if entry[0] == 1 or not entry[2]]
    top = max((score for score, _, _ in scored), default=0.0)
    best: list[dict[str, Any]] = []
    for score, document, _ in scored:
        if score == top and document not in best:
            best.append(document)
    return best


def _key_score(document: dict[str, Any], keys: Sequence[Collection[str]]) -> float:
    return max((sum(key in document for key in expected) / len(expected) for expected in keys), default=0.0)


def _search_objects(text: str, where: str) -> _Search:
    search = _Search()
    odd = _ODD.search(text) is not None
    place = looked_at = tries = 0
    while match := _START.search(text, place):
        start, tries = match.start(), tries + 1
        if looked_at > _MAX_SCANNED or tries > _MAX_TRIES:
            raise PlannerError("E_JSON", f"'{where}' has too many opening braces to find the answer")
        # If the first quote is an odd one, only the repaired text can be scanned for brackets.
        ways = [_balanced_span] if match[0][-1] in '"}' else []
        tried = [way(text, start) for way in (*ways, *((_repaired_span,) if odd else ()))]
        spans = [span for span in tried if span is not None]
        looked_at += sum((span[1] if span else len(text)) - start for span in tried)
        place = max((end for _, end in spans), default=start + 1)
        for candidate, end in spans:
            document = _parse_object(candidate)
            if document is not None:
                search.objects.append((document, bool(search.cut_off)))
                place = end
                break
        else:
            if spans:
                search.broken.append((start, spans[-1][0]))
            else:
                search.cut_off.append(start)
    return search


def _parse_object(candidate: str) -> dict[str, Any] | None:
    try:
        document = canonical_json.loads(candidate, "")
    except PlannerError:
        return None
    return document if isinstance(document, dict) else None


def _balanced_span(text: str, start: int) -> tuple[str, int] | None:
    """The text from an opening bracket to its closing one, and where that ends; None when it is cut off."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
            if depth == 0:
                return text[start : token.end()], token.end()
    return None


def _repaired_span(text: str, start: int) -> tuple[str, int] | None:
    """Return the balanced span like `_balanced_span`, with odd quotes and spaces replaced by JSON's own."""
    parts: list[str] = []
    depth, place = 0, start
    while match := _LOOSE.search(text, place):
        parts.append(text[place : match.start()])
        mark, place = match[0], match.end()
        if mark in _QUOTES:
            quoted = _quoted_string(text, place, mark)
            if quoted is None:
                return None
            parts.append(quoted[0])
            place = quoted[1]
        elif mark in "[]{}":
            parts.append(mark)
            depth += 1 if mark in "[{" else -1
            if depth == 0:
                return "".join(parts), place
        else:
            parts.append(" ")
    return None


def _quoted_string(text: str, place: int, opening: str) -> tuple[str, int] | None:
    """Return a string of any quotes in JSON's quotes, and its end; None if it is not terminated."""
    if opening == '"':
        match = _STRAIGHT_TEXT.match(text, place)
        return (f'"{match[0]}', match.end()) if match else None
    parts = ['"']
    for mark in _QUOTE.finditer(text, place):
        parts.append(text[place : mark.start()])
        place = mark.end()
        if mark[0].startswith("\\"):
            parts.append(mark[0])
        elif mark[0] == '"' and not _QUOTE_ENDS.match(text, place):
            parts.append('\\"')
        else:
            parts.append('"')
            return "".join(parts), place
    return None


def _extraction_error(text: str, search: _Search, where: str) -> PlannerError:
    """Return the error for a text without an answer, by its longest piece that looks like one."""
    broken = max(search.broken, key=lambda piece: len(piece[1]), default=None)
    if search.cut_off and (broken is None or broken[0] > search.cut_off[0]):
        line = text.count("\n", 0, search.cut_off[0]) + 1
        return PlannerError(
            "E_JSON",
            f"'{where}' ends in the middle of the JSON object that begins in line {line}",
            hint="paste the whole answer, to its last '}'",
        )
    if broken is not None:
        # Leading empty lines and spaces make the parser report the line and column of the full text.
        start, candidate = broken
        line_start = text.rfind("\n", 0, start) + 1
        before = "\n" * text.count("\n", 0, start) + " " * (start - line_start)
        try:
            canonical_json.loads(before + candidate, where, limit=2 * canonical_json.MAX_BYTES)
        except PlannerError as error:
            return error
    return PlannerError(
        "E_JSON",
        f"'{where}' holds no JSON object: {show_value(text.strip())}"
        if text.strip()
        else f"'{where}' is empty",
        hint="paste the whole answer, from its first '{' to its last '}'",
    )
