"""Accepting at a glance: whether a value surely fits its schema. Pure.

The judge is jsonschema; it takes a tenth of a second to load, and a millisecond for a task. What surely fits
need not go there. All else does, such as what has a keyword that is not known here, and only the judge says
what is wrong with it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]


def accepts(schema: Schema, value: Any) -> bool:
    """Whether a value fits a schema, as far as can be told here.

    Args:
        schema: a schema without references, of the keywords that ours have.
        value: a JSON value; lists may be tuples.

    Returns:
        True only for what the judge accepts; False says nothing.
    """
    for keyword, wanted in schema.items():
        fits = _KEYWORDS.get(keyword)
        if fits is None or not fits(wanted, value, schema):
            return False
    return True


_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "null": (type(None),),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list, tuple),
    "integer": (int,),
    "number": (int, float),
}


def _has_type(kind: str, value: Any) -> bool:
    if isinstance(value, bool) or kind == "boolean":
        return isinstance(value, bool) and kind == "boolean"
    # Of what is no number nothing is sure.
    return isinstance(value, _TYPES.get(kind, ())) and not (isinstance(value, float) and math.isnan(value))


def _type(wanted: str | list[str], value: Any, _: Schema) -> bool:
    return any(_has_type(kind, value) for kind in ([wanted] if isinstance(wanted, str) else wanted))


def _enum(wanted: list[Any], value: Any, _: Schema) -> bool:
    # 1, 1.0 and true are three; lists and objects are left to the judge.
    return isinstance(value, (str, int, float, bool, type(None))) and any(
        type(each) is type(value) and each == value for each in wanted
    )


def _text(fits: Callable[[Any, str], bool]) -> Callable[[Any, Any, Schema], bool]:
    return lambda wanted, value, _: not isinstance(value, str) or fits(wanted, value)


def _list(fits: Callable[[Any, Any], bool]) -> Callable[[Any, Any, Schema], bool]:
    return lambda wanted, value, _: not isinstance(value, (list, tuple)) or fits(wanted, value)


def _object(fits: Callable[[Any, Any], bool]) -> Callable[[Any, Any, Schema], bool]:
    return lambda wanted, value, _: not isinstance(value, dict) or fits(wanted, value)


def _number(fits: Callable[[Any, Any], bool]) -> Callable[[Any, Any, Schema], bool]:
    return lambda wanted, value, _: (
        not isinstance(value, (int, float)) or (not isinstance(value, bool) and fits(wanted, value))
    )


def _unique(wanted: bool, value: Any) -> bool:
    texts = [each for each in value if isinstance(each, str)]
    return not wanted or (len(texts) == len(value) and len(set(texts)) == len(texts))


def _properties(wanted: Mapping[str, Schema], value: Mapping[str, Any]) -> bool:
    return all(accepts(each, value[name]) for name, each in wanted.items() if name in value)


def _items(wanted: Schema, value: Any, schema: Schema) -> bool:
    if not isinstance(value, (list, tuple)):
        return True
    # A million items too many are not looked at.
    return len(value) <= schema.get("maxItems", len(value)) and all(accepts(wanted, each) for each in value)


def _additional_properties(wanted: Any, value: Any, schema: Schema) -> bool:
    if not isinstance(value, dict) or wanted is True:
        return True
    more = [each for name, each in value.items() if name not in schema.get("properties", {})]
    return not more if wanted is False else all(accepts(wanted, each) for each in more)


def _not(wanted: Schema, value: Any, _: Schema) -> bool:
    # What does not surely fit may fit all the same, so only the one form that ours have is known.
    return wanted.keys() == {"pattern"} and isinstance(value, str) and not re.search(wanted["pattern"], value)


_KEYWORDS: Mapping[str, Callable[[Any, Any, Schema], bool]] = {
    **dict.fromkeys(("$schema", "$id", "title", "description"), lambda *_: True),
    "type": _type,
    "enum": _enum,
    "const": lambda wanted, value, schema: _enum([wanted], value, schema),
    "pattern": _text(lambda wanted, value: re.search(wanted, value) is not None),
    "minLength": _text(lambda wanted, value: len(value) >= wanted),
    "maxLength": _text(lambda wanted, value: len(value) <= wanted),
    "minimum": _number(lambda wanted, value: value >= wanted),
    "maximum": _number(lambda wanted, value: value <= wanted),
    "exclusiveMinimum": _number(lambda wanted, value: value > wanted),
    "exclusiveMaximum": _number(lambda wanted, value: value < wanted),
    "minItems": _list(lambda wanted, value: len(value) >= wanted),
    "maxItems": _list(lambda wanted, value: len(value) <= wanted),
    "items": _items,
    "uniqueItems": _list(_unique),
    "required": _object(lambda wanted, value: all(name in value for name in wanted)),
    "maxProperties": _object(lambda wanted, value: len(value) <= wanted),
    "propertyNames": _object(lambda wanted, value: all(accepts(wanted, name) for name in value)),
    "properties": _object(_properties),
    "additionalProperties": _additional_properties,
    "anyOf": lambda wanted, value, _: any(accepts(each, value) for each in wanted),
    "not": _not,
    # Whichever of the two is asked for: what fits both fits.
    "if": lambda *_: True,
    "then": lambda wanted, value, _: accepts(wanted, value),
    "else": lambda wanted, value, _: accepts(wanted, value),
}
