"""JSON Schemas of the tools' arguments, and the command lines that arguments become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Schema = dict[str, Any]
Arguments = Mapping[str, Any]

# Bytes of a request's arguments, as JSON.
MAX_ARGUMENTS = 1024 * 1024
_LONG = 8000
_ITEMS = 64


def text(about: str = "", most: int = 500) -> Schema:
    """Return the schema of a text that is not empty."""
    return _described({"type": "string", "minLength": 1, "maxLength": most}, about)


def long_text(about: str = "") -> Schema:
    """Return the schema of a text of several lines."""
    return text(about, _LONG)


def texts(about: str = "", most: int = 2000) -> Schema:
    """Return the schema of a list of texts."""
    return _described(
        {"type": "array", "maxItems": _ITEMS, "items": {"type": "string", "minLength": 1, "maxLength": most}},
        about,
    )


def choice(*values: str, about: str = "") -> Schema:
    """Return the schema of one of several words."""
    return _described({"type": "string", "enum": list(values)}, about)


def flag(about: str = "") -> Schema:
    """Return the schema of a yes or no."""
    return _described({"type": "boolean"}, about)


def whole_number(about: str, low: int, high: int) -> Schema:
    """Return the schema of a whole number within bounds."""
    return _described({"type": "integer", "minimum": low, "maximum": high}, about)


def number(about: str, low: float, high: float) -> Schema:
    """Return the schema of a number within bounds."""
    return _described({"type": "number", "minimum": low, "maximum": high}, about)


def _described(schema: Schema, about: str) -> Schema:
    return {**schema, "description": about} if about else schema


def options(arguments: Arguments, **spellings: str) -> list[str]:
    """Return options of a command line for the arguments that are given.

    Args:
        arguments: the call's arguments.
        spellings: argument -> option, such as note='--note'. A list becomes one option for each of its items,
            and a true flag the option alone.
    """
    line: list[str] = []
    for name, option in spellings.items():
        value = arguments.get(name)
        if value is True:
            line.append(option)
        elif value is not None and value is not False:
            items: Sequence[Any] = value if isinstance(value, list) else [value]
            # In one word, so that a value that begins with '-' is no option.
            line += [f"{option}={item}" for item in items]
    return line
