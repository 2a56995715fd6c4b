"""Read, write and digest JSON documents. Pure; imports the standard library and orjson only.

Reading is stricter than the json module: duplicate keys, NaN, numbers of more than 64 bits, lone surrogates,
wrong encodings, deep nesting and oversized texts are refused with their place. Writing refuses everything
that reading would refuse, so that every written document can be read back.
"""

from __future__ import annotations

import json
import math
import re
import sys
from contextlib import suppress
from typing import Any

from git_planner.errors import PlannerError

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64

_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1
_DEEP_INDENT = b"\n" + b"  " * MAX_DEPTH
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# A line that ends in such a number is the only one that json and orjson write differently.
_EXPONENT = re.compile(r"[0-9]e[-+]?[0-9]+,?$", re.MULTILINE)
# Documents of at least this size are parsed with orjson, which takes 20 ms to load.
_ORJSON_THRESHOLD = 500_000
_CLOSING = re.compile(r"\s*[\]}]")


def dumps(document: Any) -> bytes:
    """Write a document in the stored form: sorted keys, two-space indented, final newline.

    Raises:
        PlannerError: E_JSON for values that JSON cannot hold: NaN, infinity, integers of more than 64 bits,
            lone surrogates, keys that are not strings, values of other types, deep nesting.
    """
    import orjson

    options = (
        orjson.OPT_INDENT_2
        | orjson.OPT_SORT_KEYS
        | orjson.OPT_APPEND_NEWLINE
        | orjson.OPT_PASSTHROUGH_DATACLASS
        | orjson.OPT_PASSTHROUGH_DATETIME
    )
    try:
        written: bytes = orjson.dumps(document, option=options)
    except (TypeError, RecursionError) as error:
        raise PlannerError("E_JSON", f"a document cannot be written: {error}") from None
    if _DEEP_INDENT in written:
        _check_depth(document, "a document to be written")
    if b"null" in written:
        # orjson silently writes NaN and infinity as null; the canonical form refuses them.
        compact(document)
    return written


def dumps_small(document: Any) -> bytes:
    """Write a small, validated document in the stored form without loading orjson, for the hooks.

    Raises:
        PlannerError: E_JSON.
    """
    try:
        text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        if not _EXPONENT.search(text):
            return f"{text}\n".encode()
    except (TypeError, ValueError, RecursionError):
        # `dumps` raises the error with its reason.
        pass
    return dumps(document)


def dumps_host(document: Any) -> bytes:
    """Write a document of this host that no digest and no commit covers.

    Names of files need not be UTF-8: Python has a lone surrogate for such a byte, which is written as an
    escape. `json.loads` reads it back.

    Raises:
        PlannerError: E_JSON.
    """
    try:
        return f"{json.dumps(document, indent=2, sort_keys=True, allow_nan=False)}\n".encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise PlannerError("E_JSON", f"a document cannot be written: {error}") from None


def dumps_shown(document: Any) -> str:
    """Write a document for stdout. It may hold names that are no UTF-8, as `dumps_host` says."""
    # A command that has read large documents has loaded it, and prints large ones.
    if orjson := sys.modules.get("orjson"):
        with suppress(TypeError):
            return str(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS), "utf-8")
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    # Halves of surrogate pairs stand for bytes of a path that is no UTF-8; they are escaped as JSON does.
    return text.encode("utf-8", "backslashreplace").decode()


def compact(document: Any) -> bytes:
    """Return the canonical form for digests: sorted keys, no spaces, UTF-8.

    Raises:
        PlannerError: E_JSON as for `dumps`, except for values that the json module converts to strings.
    """
    try:
        return json.dumps(
            document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ).encode()
    except UnicodeEncodeError:
        reason = "it holds a lone surrogate"
    except RecursionError:
        reason = "it is nested too deeply"
    except (TypeError, ValueError) as error:
        reason = str(error)
    raise PlannerError("E_JSON", f"a document cannot be written: {reason}")


def digest(document: Any) -> str:
    """Return the SHA-256 of the canonical form, 64 hex digits."""
    # hashlib takes 3 ms to load, and hooks do not need it.
    from hashlib import sha256

    return sha256(compact(document)).hexdigest()


def dumps_cache(document: Any) -> bytes:
    """Write a document that only this program reads, such as a cache: fast and compact."""
    import orjson

    return orjson.dumps(document)


def loads_trusted(data: bytes, *, many: bool = False) -> Any:
    """Parse a document that this program wrote and validated: fast, without the strict checks.

    Args:
        data: the document.
        many: the caller parses many documents, so that loading orjson pays off.

    Raises:
        PlannerError: E_JSON if it is not JSON.
    """
    try:
        # Only orjson refuses lone surrogates, which can occur only in escapes.
        if not many and len(data) < _ORJSON_THRESHOLD and b"\\u" not in data:
            return _TRUSTED_READER.decode(data.decode())
        import orjson

        return orjson.loads(data)
    except (ValueError, RecursionError) as error:
        raise PlannerError("E_JSON", f"a stored document is damaged: {error}") from None


def loads(data: bytes | str, where: str, *, limit: int = MAX_BYTES) -> Any:
    """Parse an untrusted JSON document strictly.

    Args:
        data: the text or its bytes.
        where: its name in errors, such as a path.
        limit: the largest size allowed, in bytes.

    Raises:
        PlannerError: E_JSON with the reason and, for syntax, line and column.
    """
    text = read_text(data, where, limit=limit)
    try:
        document = _STRICT_READER.decode(text)
    except json.JSONDecodeError as error:
        raise PlannerError("E_JSON", f"'{where}' is not JSON: {_syntax_reason(error)}") from None
    except ValueError as error:
        raise PlannerError("E_JSON", f"'{where}' is not accepted: {error}") from None
    except RecursionError:
        raise _too_deep_error(where) from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(document, where)
    if _SURROGATE.search(text):
        _check_surrogates(document, where)
    return document


def read_text(data: bytes | str, where: str, *, limit: int = MAX_BYTES) -> str:
    """Decode untrusted bytes: UTF-8, of bounded size, without a byte order mark.

    Raises:
        PlannerError: E_JSON.
    """
    # A character has at least one byte, so an oversized text need not be encoded.
    size = len(data)
    if isinstance(data, str) and size <= limit:
        data = data.encode("utf-8", "surrogatepass")
        size = len(data)
    if size > limit:
        raise PlannerError("E_JSON", f"'{where}' has {size:,} bytes; at most {limit:,} are read")
    assert isinstance(data, bytes)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise PlannerError("E_JSON", f"'{where}' is UTF-16; only UTF-8 is read")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise PlannerError("E_JSON", f"'{where}' is not UTF-8 (byte {error.start})") from None


def _syntax_reason(error: json.JSONDecodeError) -> str:
    place = f"(line {error.lineno}, column {error.colno})"
    before = error.doc[: error.pos].rstrip(" \t\r\n")
    # Python's messages for a trailing comma differ between versions.
    comma = before.endswith(",") or error.doc[error.pos : error.pos + 1] == ","
    after = error.doc[error.pos + (not before.endswith(",")) :] if comma else ""
    if comma and _CLOSING.match(after):
        return f"there is a comma before the closing bracket {place}"
    if error.msg.startswith("Unterminated") or not error.doc[error.pos :].strip(" \t\r\n"):
        return f"it ends in the middle {place}"
    return f"{error.msg[:1].lower()}{error.msg[1:]} {place}"


def _check_depth(document: Any, where: str) -> None:
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list, tuple))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    if any(isinstance(node, (dict, list, tuple)) for node in level):
        raise _too_deep_error(where)


def _too_deep_error(where: str) -> PlannerError:
    return PlannerError("E_JSON", f"'{where}' is nested deeper than {MAX_DEPTH} levels")


def _check_surrogates(document: Any, where: str) -> None:
    try:
        compact(document)
    except PlannerError:
        raise PlannerError("E_JSON", f"'{where}' holds a lone surrogate") from None


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) == len(pairs):
        return mapping
    keys: set[str] = set()
    for key, _ in pairs:
        if key in keys:
            raise ValueError(f"the key {key[:60]!r} appears twice in one object")
        keys.add(key)
    return mapping


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _parse_integer(digits: str) -> int:
    # At most 64 bits: other readers round larger integers.
    value = int(digits) if len(digits) <= 20 else _MAX_INTEGER + 1
    if not _MIN_INTEGER <= value <= _MAX_INTEGER:
        raise ValueError(f"the number {digits[:30]}{'…' * (len(digits) > 30)} has more than 64 bits")
    return value


def _parse_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:30]}{'…' * (len(digits) > 30)} is too large")
    return value


_TRUSTED_READER = json.JSONDecoder(parse_constant=_refuse_constant)
_STRICT_READER = json.JSONDecoder(
    object_pairs_hook=_object_without_duplicates,
    parse_constant=_refuse_constant,
    parse_int=_parse_integer,
    parse_float=_parse_float,
)
