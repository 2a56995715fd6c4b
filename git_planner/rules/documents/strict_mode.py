"""Derive the JSON Schema for OpenAI's strict mode from a full schema. Pure.

Strict mode requires closed objects, all keys required and a type everywhere, and knows few keywords. Other
keywords are dropped; the answer is validated against the full schema after `remove_nulls` has removed the
nulls by which strict mode expresses absent optional keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEPT_KEYWORDS = ("type", "description", "enum", "minItems", "maxItems", "minimum", "maximum")
# Keywords of full schemas that strict mode does not support.
DROPPED_KEYWORDS = (
    "pattern",
    "not",
    "minLength",
    "maxLength",
    "uniqueItems",
    "format",
    "default",
    "title",
    "$id",
    "$schema",
)
_KNOWN_KEYWORDS = (
    *KEPT_KEYWORDS,
    *DROPPED_KEYWORDS,
    "const",
    "$ref",
    "$defs",
    "anyOf",
    "properties",
    "required",
    "additionalProperties",
    "items",
)


def strict_form(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Derive the strict form of a schema.

    Args:
        schema: a full schema whose references all point into its own '$defs'.

    Raises:
        ValueError: strict mode cannot express a part that must not be dropped, such as an object with free
            keys.
    """
    return _strict_node(schema, schema, ())


def _strict_node(node: Mapping[str, Any], root: Mapping[str, Any], seen: tuple[str, ...]) -> dict[str, Any]:
    node, seen = _inlined(node, root, seen)
    unknown = sorted(set(node) - set(_KNOWN_KEYWORDS))
    if unknown:
        raise ValueError(f"strict mode cannot express {', '.join(unknown)}")
    if "anyOf" in node:
        branches = [_strict_node(branch, root, seen) for branch in node["anyOf"]]
        return {**({"description": node["description"]} if "description" in node else {}), "anyOf": branches}
    if "type" not in node:
        raise ValueError("strict mode requires a type everywhere")
    kept = {key: node[key] for key in KEPT_KEYWORDS if key in node}
    if "const" in node:
        kept["enum"] = [node["const"]]
    if kept["type"] == "object":
        return {**kept, **_strict_object(node, root, seen)}
    if kept["type"] == "array":
        return {**kept, "items": _strict_node(node["items"], root, seen)}
    if not set(_types(kept)) <= {"string", "integer", "number", "boolean", "null"}:
        raise ValueError("strict mode cannot express free values")
    return kept


def _strict_object(node: Mapping[str, Any], root: Mapping[str, Any], seen: tuple[str, ...]) -> dict[str, Any]:
    if node.get("additionalProperties") is not False:
        raise ValueError("strict mode cannot express an object with free keys")
    needed = node.get("required", ())
    properties = {}
    for key, value in node["properties"].items():
        strict = _strict_node(value, root, seen)
        properties[key] = strict if key in needed else _or_null(strict)
    return {"additionalProperties": False, "required": list(properties), "properties": properties}


def _or_null(node: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in node:
        has_null = any("null" in _types(branch) for branch in node["anyOf"])
        return node if has_null else {**node, "anyOf": [*node["anyOf"], {"type": "null"}]}
    if "null" in _types(node):
        return node
    if node["type"] in ("object", "array") or "enum" in node:
        return {"anyOf": [node, {"type": "null"}]}
    return {**node, "type": [*_types(node), "null"]}


def _inlined(
    node: Mapping[str, Any], root: Mapping[str, Any], seen: tuple[str, ...]
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    while "$ref" in node:
        name = node["$ref"]
        if name in seen or not name.startswith("#/$defs/"):
            raise ValueError(f"strict mode cannot express the reference {name}")
        seen = (*seen, name)
        beside = {key: value for key, value in node.items() if key != "$ref"}
        node = {**root["$defs"][name.removeprefix("#/$defs/")], **beside}
    return node, seen


def _types(node: Mapping[str, Any]) -> list[str]:
    types = node.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def remove_nulls(document: Any, schema: Mapping[str, Any]) -> Any:
    """Return a copy of a document without the nulls by which strict mode expresses absent optional keys.

    Nulls that the full schema allows, and keys that it does not describe, stay unchanged.

    Args:
        document: a model's answer, not yet validated.
        schema: the full schema of the document.
    """
    return _remove_nulls(document, schema, schema)


def _remove_nulls(value: Any, node: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    node, _ = _inlined(node, root, ())
    if "anyOf" in node:
        fitting = [branch for branch in node["anyOf"] if _types(_inlined(branch, root, ())[0]) != ["null"]]
        return _remove_nulls(value, fitting[0], root) if len(fitting) == 1 and value is not None else value
    if isinstance(value, list) and isinstance(node.get("items"), Mapping):
        return [_remove_nulls(item, node["items"], root) for item in value]
    if not isinstance(value, dict) or "properties" not in node:
        return value
    properties, needed = node["properties"], node.get("required", ())
    return {
        key: _remove_nulls(item, properties[key], root) if key in properties else item
        for key, item in value.items()
        if item is not None or key not in properties or key in needed or _takes_null(properties[key], root)
    }


def _takes_null(node: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    node, _ = _inlined(node, root, ())
    if "anyOf" in node:
        return any(_takes_null(branch, root) for branch in node["anyOf"])
    return "null" in _types(node) or "type" not in node
