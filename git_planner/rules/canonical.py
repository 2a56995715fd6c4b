"""The one reading, writing and digest of JSON documents. Pure; imports the standard library and orjson only.

Reading is strict where the json module is lenient: duplicate keys, NaN, lone surrogates, wrong encodings,
deep nesting and oversized texts are refused with a sentence that says where.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from git_planner.errors import PlannerError

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64


def dumps(document: Any) -> bytes:
    """Write a document the way every file of ours is written: sorted, two-space indented, final newline."""
    import orjson

    return orjson.dumps(
        document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    )


def compact(document: Any) -> bytes:
    """The canonical form: sorted keys, no spaces, UTF-8. What digests are made of."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(document: Any) -> str:
    """SHA-256 of the canonical form, 64 hex digits."""
    return hashlib.sha256(compact(document)).hexdigest()


def loads_ours(data: bytes) -> Any:
    """Read a document that this program wrote and checked before: fast, without the strict checks."""
    import orjson

    return orjson.loads(data)


def loads(data: bytes | str, where: str, *, limit: int = MAX_BYTES) -> Any:
    """Read a JSON document from outside, strictly.

    Args:
        data: the text or its bytes.
        where: what to call it in an error, such as a path.
        limit: the largest size allowed, in bytes.

    Raises:
        PlannerError: E_JSON with the reason and, for syntax, line and column.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > limit:
        raise PlannerError("E_JSON", f"'{where}' has {len(raw):,} bytes; at most {limit:,} are read")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PlannerError("E_JSON", f"'{where}' is not UTF-8 (byte {error.start})") from None
    text = text.removeprefix("\ufeff")
    _check_depth(text, where)
    try:
        document = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise PlannerError("E_JSON", f"'{where}' is not JSON: {error.msg} ({place})") from None
    except ValueError as error:
        raise PlannerError("E_JSON", f"'{where}' is not accepted: {error}") from None
    if "\\ud" in text.lower():
        _check_surrogates(document, where)
    return document


def _check_depth(text: str, where: str) -> None:
    depth = deepest = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAX_DEPTH:
                raise PlannerError("E_JSON", f"'{where}' is nested deeper than {MAX_DEPTH} levels")
        elif character in "]}":
            depth -= 1


def _check_surrogates(document: Any, where: str) -> None:
    try:
        compact(document)
    except UnicodeEncodeError:
        raise PlannerError("E_JSON", f"'{where}' holds half of a surrogate pair") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:80]!r} appears twice in one object")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
