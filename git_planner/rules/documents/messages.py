"""What is wrong with a document, in sentences: places as JSON pointers, values cut short. Pure."""

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
    """A place as a JSON pointer; '/' alone is the whole document."""
    steps = [shorten(each).replace("~", "~0").replace("/", "~1") for each in path]
    return "/" + "/".join(steps)


def shorten(text: str) -> str:
    """A text of at most MOST_SHOWN characters, with nothing that a terminal would act on."""
    head = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in head)


def control_problem(text: str) -> str | None:
    """What is wrong with a text that holds a control character other than a tab or a line break."""
    found = _CONTROL.search(text)
    return f"has the control character U+{ord(found[0]):04X}" if found else None


def show_value(value: Any) -> str:
    """A value as a sentence shows it, cut at MOST_SHOWN characters."""
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
    path: tuple[str, ...], keyword: str, wanted: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Say in which places and how a value breaks one keyword of its schema.

    Args:
        path: the place of the value.
        keyword: the keyword that is broken, such as 'maxItems'.
        wanted: what the keyword says.
        value: the value.
        schema: the schema node that the keyword is in.
    """
    if keyword == "required":
        for name in wanted:
            if name not in value:
                yield (*path, name), "is missing"
    elif keyword == "additionalProperties":
        for name in value:
            if name not in schema["properties"]:
                yield (*path, name), "is not a known key" + suggestion(name, schema["properties"])
    elif keyword in _MESSAGES:
        yield path, _MESSAGES[keyword](wanted, value, schema)
    else:
        yield path, f"{show_value(value)} does not fit '{keyword}'"


def suggestion(name: str, known: Iterator[str] | Sequence[str] | Mapping[str, Any]) -> str:
    """'; did you mean 'x'?' when a known name is close; else nothing."""
    import difflib

    near = difflib.get_close_matches(name, list(known), 1) if len(name) <= 80 else []
    return f"; did you mean '{near[0]}'?" if near else ""


def _type(wanted: Any, value: Any, _schema: Mapping[str, Any]) -> str:
    names = [wanted] if isinstance(wanted, str) else wanted
    return f"must be {' or '.join(_TYPES[each] for each in names)}, not {show_value(value)}"


def _enum(wanted: Any, value: Any, _schema: Mapping[str, Any]) -> str:
    if len(wanted) == 1:
        return f"must be {show_value(wanted[0])}, not {show_value(value)}"
    return f"must be one of {', '.join(show_value(each) for each in wanted)}, not {show_value(value)}"


def _pattern(wanted: Any, value: Any, schema: Mapping[str, Any]) -> str:
    if wanted == r"\S":
        return "must not be blank"
    what = schema.get("description", f"text that matches {wanted}").rstrip(".")
    start = what[:1].lower() if what[1:2].islower() or what[1:2] == " " else what[:1]
    return f"{show_value(value)} is not accepted here: {start}{what[1:]}"


def _not(wanted: Any, value: Any, _schema: Mapping[str, Any]) -> str:
    found = re.search(wanted.get("pattern", "(?!)"), value) if isinstance(value, str) else None
    if found is None:
        return f"{show_value(value)} is not accepted here"
    return f"has the control character U+{ord(found[0]):04X} (character {found.start() + 1})"


_Message = Callable[[Any, Any, Mapping[str, Any]], str]
_MESSAGES: dict[str, _Message] = {
    "type": _type,
    "enum": _enum,
    "const": lambda wanted, value, schema: _enum([wanted], value, schema),
    "pattern": _pattern,
    "not": _not,
    "minItems": lambda wanted, value, _: f"has {len(value)} items; at least {wanted} are needed",
    "maxItems": lambda wanted, value, _: f"has {len(value):,} items; at most {wanted:,} are allowed",
    "maxProperties": lambda wanted, value, _: f"has {len(value):,} entries; at most {wanted:,} are allowed",
    "minLength": lambda wanted, value, _: (
        "must not be empty" if not value else f"has {len(value)} characters; at least {wanted} are needed"
    ),
    "maxLength": lambda wanted, value, _: f"has {len(value):,} characters; at most {wanted:,} are allowed",
    "minimum": lambda wanted, value, _: f"must be at least {wanted}, not {show_value(value)}",
    "exclusiveMinimum": lambda wanted, value, _: f"must be more than {wanted}, not {show_value(value)}",
    "maximum": lambda wanted, value, _: f"must be at most {wanted}, not {show_value(value)}",
    "uniqueItems": lambda _wanted, _value, _schema: "has the same item twice",
}
