"""Validation messages: places as JSON pointers, values shortened. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

MAX_SHOWN = 60

_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def json_pointer(path: Sequence[str]) -> str:
    """Return a place as a JSON pointer; '/' alone is the document itself."""
    steps = [shorten(step).replace("~", "~0").replace("/", "~1") for step in path]
    return "/" + "/".join(steps)


def shorten(text: str) -> str:
    """Return a text cut to MAX_SHOWN characters, with unprintable characters escaped."""
    head = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in head)


def control_problem(text: str) -> str | None:
    """Return the message for a text with a control character other than tab and newline, or None."""
    match = _CONTROL.search(text)
    return f"has the control character U+{ord(match[0]):04X}" if match else None


def show_value(value: Any) -> str:
    """Return a value as messages show it, cut to MAX_SHOWN characters."""
    if isinstance(value, str):
        return f"'{shorten(value)}'"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    try:
        return shorten(json.dumps(value))
    except ValueError:  # a number with more digits than Python prints
        return "a very long number"


def keyword_problems(
    path: tuple[str, ...], keyword: str, argument: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the places and messages of a value that violates one keyword of its schema.

    Args:
        path: the place of the value.
        keyword: the violated keyword, such as 'maxItems'.
        argument: the argument of the keyword.
        value: the value.
        schema: the schema node of the keyword.
    """
    if keyword == "required":
        for name in argument:
            if name not in value:
                yield (*path, name), "is missing"
    elif keyword == "additionalProperties":
        for name in value:
            if name not in schema["properties"]:
                yield (*path, name), "is not a known key" + suggestion(name, schema["properties"])
    elif keyword in _MESSAGES:
        yield path, _MESSAGES[keyword](argument, value, schema)
    else:
        yield path, f"{show_value(value)} does not fit '{keyword}'"


def suggestion(name: str, names: Iterator[str] | Sequence[str] | Mapping[str, Any]) -> str:
    """Return '; did you mean 'x'?' if a known name is similar, else an empty string."""
    import difflib

    near = difflib.get_close_matches(name, list(names), 1) if len(name) <= 80 else []
    return f"; did you mean '{near[0]}'?" if near else ""


def _type(argument: Any, value: Any, _schema: Mapping[str, Any]) -> str:
    names = [argument] if isinstance(argument, str) else argument
    return f"must be {' or '.join(_TYPES[name] for name in names)}, not {show_value(value)}"


def _enum(argument: Any, value: Any, _schema: Mapping[str, Any]) -> str:
    if len(argument) == 1:
        return f"must be {show_value(argument[0])}, not {show_value(value)}"
    return f"must be one of {', '.join(show_value(choice) for choice in argument)}, not {show_value(value)}"


def _pattern(argument: Any, value: Any, schema: Mapping[str, Any]) -> str:
    if argument == r"\S":
        return "must not be blank"
    what = schema.get("description", f"text that matches {argument}").rstrip(".")
    start = what[:1].lower() if what[1:2].islower() or what[1:2] == " " else what[:1]
    return f"{show_value(value)} is not accepted here: {start}{what[1:]}"


def _not(argument: Any, value: Any, _schema: Mapping[str, Any]) -> str:
    match = re.search(argument.get("pattern", "(?!)"), value) if isinstance(value, str) else None
    if match is None:
        return f"{show_value(value)} is not accepted here"
    return f"has the control character U+{ord(match[0]):04X} (character {match.start() + 1})"


_Message = Callable[[Any, Any, Mapping[str, Any]], str]
_MESSAGES: dict[str, _Message] = {
    "type": _type,
    "enum": _enum,
    "const": lambda argument, value, schema: _enum([argument], value, schema),
    "pattern": _pattern,
    "not": _not,
    "minItems": lambda argument, value, _: f"has {len(value)} items; at least {argument} are needed",
    "maxItems": lambda argument, value, _: f"has {len(value):,} items; at most {argument:,} are allowed",
    "maxProperties": lambda argument, value, _: (
        f"has {len(value):,} entries; at most {argument:,} are allowed"
    ),
    "minLength": lambda argument, value, _: (
        "must not be empty" if not value else f"has {len(value)} characters; at least {argument} are needed"
    ),
    "maxLength": lambda argument, value, _: (
        f"has {len(value):,} characters; at most {argument:,} are allowed"
    ),
    "minimum": lambda argument, value, _: f"must be at least {argument}, not {show_value(value)}",
    "exclusiveMinimum": lambda argument, value, _: f"must be more than {argument}, not {show_value(value)}",
    "maximum": lambda argument, value, _: f"must be at most {argument}, not {show_value(value)}",
    "uniqueItems": lambda _wanted, _value, _schema: "has the same item twice",
}
