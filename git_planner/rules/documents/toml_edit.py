"""Add or remove one table of a TOML text, and leave every other byte, comments too, as it is. Pure.

The tables are recognized by their header lines, and the result is parsed and compared, so that a text in
which this goes wrong is refused.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from git_planner.errors import PlannerError

_LONG_STRING = re.compile(r"'''.*?'''|\"\"\".*?\"\"\"", re.DOTALL)
_HEADER = re.compile(r"^[ \t]*\[[^\n]*$", re.MULTILINE)


def read_table(text: str, keys: Sequence[str]) -> Any:
    """Return the value at a path of keys; None when there is none.

    Raises:
        PlannerError: E_JSON when the text is no TOML.
    """
    value: Any = _parsed(text)
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def add_table(text: str, keys: Sequence[str], table: Mapping[str, Any]) -> str:
    """Return a text with a table at its end.

    Raises:
        PlannerError: E_JSON when the text is no TOML, or does not allow the table.
    """
    joint = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    after = f"{text}{joint}{table_text(keys, table)}"
    if read_table(after, keys) != table:
        raise _wrong("it does not allow a further table")
    return after


def remove_table(text: str, keys: Sequence[str]) -> str:
    """Return a text without a table and its sub-tables; the same text when there is none.

    Raises:
        PlannerError: E_JSON when the text is no TOML, or the table is written in another way.
    """
    wanted = _parsed(text)
    if read_table(text, keys) is None:
        return text
    _without(wanted, keys)
    after = text
    headers = list(_HEADER.finditer(_LONG_STRING.sub(lambda found: "x" * len(found[0]), text)))
    for place in reversed(range(len(headers))):
        header = headers[place]
        if tuple(_header_keys(header[0]))[: len(keys)] == tuple(keys):
            end = headers[place + 1].start() if place + 1 < len(headers) else len(text)
            after = _cut(after, header.start(), end)
    remaining = _parsed(after)
    _without(remaining, keys)
    if remaining != wanted or read_table(after, keys) is not None:
        raise _wrong(f"'{'.'.join(keys)}' is not written as a table of its own")
    return after


def table_text(keys: Sequence[str], table: Mapping[str, Any]) -> str:
    """Return a table as text."""
    lines = [f"{name} = {_value(value)}" for name, value in table.items()]
    return "\n".join([f"[{'.'.join(keys)}]", *lines]) + "\n"


def _cut(text: str, start: int, end: int) -> str:
    """Cut a table out; comments and blank lines at its end belong to what follows."""
    kept = end
    lines = text[start:end].splitlines(keepends=True)
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        kept -= len(lines.pop())
    before, rest = text[:start], text[kept:]
    if before.endswith("\n\n"):
        # The blank line before it.
        before = before[:-1]
    elif not before:
        rest = rest.removeprefix("\n")
    return before + rest


def _header_keys(line: str) -> list[str]:
    """Return the keys of a header line; none for a line that only looks like one."""
    try:
        value: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return []
    keys = []
    while isinstance(value, dict) and value:
        key, value = next(iter(value.items()))
        keys.append(key)
    return keys


def _without(document: dict[str, Any], keys: Sequence[str]) -> None:
    """Remove a key, and the tables that are empty without it."""
    first, *rest = keys
    inner = document.get(first)
    if rest and isinstance(inner, dict):
        _without(inner, rest)
    if not rest or inner == {}:
        document.pop(first, None)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_value(name)} = {_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    # A text of JSON is one of TOML; only the delete character may not stand in it.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _wrong(str(error)) from None


def _wrong(reason: str) -> PlannerError:
    return PlannerError("E_JSON", f"the file cannot be changed as TOML: {reason}")
