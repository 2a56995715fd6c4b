"""The manual page of the policy: its keys from the schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from git_planner import documents
from git_planner.rules.documents.markdown import parse_outline

ABOUT_POLICY = "the policy of a repository, .git-planner.yml"


class PolicyKey(NamedTuple):
    """One key of the policy; `name` is its full name, such as 'metrics[].run'."""

    name: str
    note: str
    text: str


def policy_keys() -> Iterator[PolicyKey]:
    """Yield the keys of the policy, each mapping before its own keys."""
    full = documents.schema("policy")
    yield from _keys(full, full, "")


def example(root: Path) -> str:
    """Return the example of a policy in the README of a checkout."""
    text = (root / "README.md").read_text(encoding="utf-8")
    marker = documents.schema("policy")["$id"]
    return next(block.text for block in parse_outline(text).blocks if f"schema: {marker}" in block.text)


def resolved(field: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a value with its reference replaced; it keeps the description of its own."""
    if "anyOf" in field:
        # The other form of an optional value is null.
        field = {**field["anyOf"][0], **field}
    if "$ref" in field:
        field = {**root["$defs"][field["$ref"].removeprefix("#/$defs/")], **field}
    return dict(field)


def _keys(mapping: Mapping[str, Any], root: Mapping[str, Any], prefix: str) -> Iterator[PolicyKey]:
    for key, written in mapping["properties"].items():
        field = resolved(written, root)
        item = resolved(field["items"], root) if field.get("type") == "array" else None
        note = _describe(field, item) + (", required" if key in mapping.get("required", ()) else "")
        yield PolicyKey(prefix + key, note, field["description"])
        inner = field if item is None else item
        if "properties" in inner:
            yield from _keys(inner, root, f"{prefix}{key}{'.' if item is None else '[].'}")


def _describe(field: Mapping[str, Any], item: Mapping[str, Any] | None) -> str:
    if item is not None:
        kinds = item.get("type", "string")
        nouns = [
            _NOUNS[kind] + "s" * (kind != "null") for kind in ([kinds] if isinstance(kinds, str) else kinds)
        ]
        return f"list of {' or '.join(nouns)}"
    if "const" in field:
        return str(field["const"])
    if "enum" in field:
        *first, last = map(str, field["enum"])
        return f"{', '.join(first)} or {last}" if first else last
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    numbers = " or ".join(_NOUNS[kind] for kind in types if kind != "null") + _range(field)
    return f"{numbers} or null" if "null" in types else numbers


_NOUNS = {
    "array": "list",
    "boolean": "true or false",
    "integer": "integer",
    "null": "null",
    "number": "number",
    "object": "mapping",
    "string": "string",
}


def _range(field: Mapping[str, Any]) -> str:
    """Return the bounds of a number; an upper one that is only a safeguard is left out."""
    if "string" in field["type"]:
        return ""
    low, above, high = (field.get(key) for key in ("minimum", "exclusiveMinimum", "maximum"))
    limit = f"{high:,}" if high is not None and high < 10**8 else ""
    if above is not None:
        return f" above {above:g}" + (f", at most {limit}" if limit else "")
    start = f" from {low:,}" if low is not None else ""
    return f"{start} to {limit}" if start and limit else start
