"""Fast path of schema validation: accept a value only if it is certainly valid. Pure.

Otherwise the caller asks jsonschema, which takes a tenth of a second to load and a millisecond per task, and
which reports the problems. Unknown keywords are never accepted here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]


def accepts(schema: Schema, value: Any) -> bool:
    """Return whether a value is certainly valid by a schema.

    Args:
        schema: a schema without references.
        value: a JSON value; lists may be tuples.

    Returns:
        True only for values that jsonschema accepts; False means unknown.
    """
    for keyword, argument in schema.items():
        fits = _KEYWORDS.get(keyword)
        if fits is None or not fits(argument, value, schema):
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
    # NaN is not accepted here.
    return isinstance(value, _TYPES.get(kind, ())) and not (isinstance(value, float) and math.isnan(value))


def _type(argument: str | list[str], value: Any, _: Schema) -> bool:
    return any(_has_type(kind, value) for kind in ([argument] if isinstance(argument, str) else argument))


def _enum(argument: list[Any], value: Any, _: Schema) -> bool:
    # 1, 1.0 and true are different values; lists and objects are left to jsonschema.
    return isinstance(value, (str, int, float, bool, type(None))) and any(
        type(allowed) is type(value) and allowed == value for allowed in argument
    )


def _string_keyword(fits: Callable[[Any, str], bool]) -> Callable[[Any, Any, Schema], bool]:
    return lambda argument, value, _: not isinstance(value, str) or fits(argument, value)


def _array_keyword(fits: Callable[[Any, Any], bool]) -> Callable[[Any, Any, Schema], bool]:
    return lambda argument, value, _: not isinstance(value, (list, tuple)) or fits(argument, value)


def _object_keyword(fits: Callable[[Any, Any], bool]) -> Callable[[Any, Any, Schema], bool]:
    return lambda argument, value, _: not isinstance(value, dict) or fits(argument, value)


def _number_keyword(fits: Callable[[Any, Any], bool]) -> Callable[[Any, Any, Schema], bool]:
    return lambda argument, value, _: (
        not isinstance(value, (int, float)) or (not isinstance(value, bool) and fits(argument, value))
    )


def _unique(argument: bool, value: Any) -> bool:
    texts = [item for item in value if isinstance(item, str)]
    return not argument or (len(texts) == len(value) and len(set(texts)) == len(texts))


def _properties(argument: Mapping[str, Schema], value: Mapping[str, Any]) -> bool:
    return all(accepts(schema, value[name]) for name, schema in argument.items() if name in value)


def _items(argument: Schema, value: Any, schema: Schema) -> bool:
    if not isinstance(value, (list, tuple)):
        return True
    # Do not look at more items than allowed.
    return len(value) <= schema.get("maxItems", len(value)) and all(accepts(argument, item) for item in value)


def _additional_properties(argument: Any, value: Any, schema: Schema) -> bool:
    if not isinstance(value, dict) or argument is True:
        return True
    more = [item for name, item in value.items() if name not in schema.get("properties", {})]
    return not more if argument is False else all(accepts(argument, item) for item in more)


def _not(argument: Schema, value: Any, _: Schema) -> bool:
    # False from `accepts` proves nothing, so only the one form that the schemas use is handled.
    return (
        argument.keys() == {"pattern"}
        and isinstance(value, str)
        and not re.search(argument["pattern"], value)
    )


_KEYWORDS: Mapping[str, Callable[[Any, Any, Schema], bool]] = {
    **dict.fromkeys(("$schema", "$id", "title", "description"), lambda *_: True),
    "type": _type,
    "enum": _enum,
    "const": lambda argument, value, schema: _enum([argument], value, schema),
    "pattern": _string_keyword(lambda argument, value: re.search(argument, value) is not None),
    "minLength": _string_keyword(lambda argument, value: len(value) >= argument),
    "maxLength": _string_keyword(lambda argument, value: len(value) <= argument),
    "minimum": _number_keyword(lambda argument, value: value >= argument),
    "maximum": _number_keyword(lambda argument, value: value <= argument),
    "exclusiveMinimum": _number_keyword(lambda argument, value: value > argument),
    "exclusiveMaximum": _number_keyword(lambda argument, value: value < argument),
    "minItems": _array_keyword(lambda argument, value: len(value) >= argument),
    "maxItems": _array_keyword(lambda argument, value: len(value) <= argument),
    "items": _items,
    "uniqueItems": _array_keyword(_unique),
    "required": _object_keyword(lambda argument, value: all(name in value for name in argument)),
    "maxProperties": _object_keyword(lambda argument, value: len(value) <= argument),
    "propertyNames": _object_keyword(lambda argument, value: all(accepts(argument, name) for name in value)),
    "properties": _object_keyword(_properties),
    "additionalProperties": _additional_properties,
    "anyOf": lambda argument, value, _: any(accepts(branch, value) for branch in argument),
    "not": _not,
    # A value that is valid by both branches is valid by either.
    "if": lambda *_: True,
    "then": lambda argument, value, _: accepts(argument, value),
    "else": lambda argument, value, _: accepts(argument, value),
}
