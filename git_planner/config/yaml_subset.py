"""Read the subset of YAML that corresponds to JSON. The only module that imports PyYAML.

No tags, anchors or aliases, no dates, no 'yes' for true, no duplicate keys.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules.documents import canonical_json

MAX_POLICY_BYTES = 256 * 1024
MAX_DEPTH = 20
SCHEMA_HINT = "see the schema with 'git planner schema policy'"


def read_yaml(
    data: bytes,
    where: str,
    *,
    validated: bool = False,
    limit: int = MAX_POLICY_BYTES,
    aliases: bool = False,
) -> Any:
    """Parse YAML into the corresponding JSON document.

    Args:
        data: its bytes.
        where: its name in errors.
        validated: these bytes are known to be valid.
        limit: how many bytes are read.
        aliases: whether values may be repeated by aliases, as other programs write them, as long as the
            document that they stand for has at most `limit` characters.

    Raises:
        PlannerError: E_POLICY with the reason, line and column.
    """
    import yaml

    if len(data) > limit:
        raise policy_too_large(where, len(data), limit)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise unusable_policy(where, f"is not UTF-8 (byte {error.start})") from None
    try:
        if not validated:
            _check_events(text, where, limit if aliases else 0)
        document = yaml.load(text, Loader=_json_loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise unusable_policy(where, f"cannot be read: {error.problem or error.context}", mark) from None
    except yaml.YAMLError as error:
        reason = getattr(error, "reason", None) or "it cannot be read"
        raise unusable_policy(where, f"cannot be read: {reason}") from None
    if validated:
        return document
    try:
        # Values that JSON cannot hold, such as lone surrogates, have no digest.
        canonical_json.compact(document)
    except (PlannerError, ValueError) as error:
        raise unusable_policy(where, f"cannot be written as JSON: {error}") from None
    return document


def key_lines(data: bytes) -> dict[str, int]:
    """Return the lines of a mapping's keys, counted from 1; the document was read before."""
    import yaml

    node: Any = yaml.compose(data.decode("utf-8-sig"), Loader=_base_loader())
    return {key.value: key.start_mark.line + 1 for key, _ in node.value}


def _check_events(text: str, where: str, repeated: int = 0) -> None:
    """Refuse aliases, tags, several documents and deep nesting before building anything.

    Args:
        text: the document.
        where: its name in errors.
        repeated: the number of characters up to which aliases are allowed.
    """
    import yaml

    depth = documents_seen = 0
    for event in yaml.parse(text, Loader=_base_loader()):
        if not repeated and (isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None)):
            raise unusable_policy(where, "uses anchors and aliases, which are not allowed", event.start_mark)
        if tag := getattr(event, "tag", None):
            raise unusable_policy(where, f"uses the tag '{tag[:60]}', which is not allowed", event.start_mark)
        if isinstance(event, yaml.DocumentStartEvent):
            documents_seen += 1
            if documents_seen > 1:
                raise unusable_policy(where, "holds more than one document", event.start_mark)
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise unusable_policy(where, f"is nested deeper than {MAX_DEPTH} levels", event.start_mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    if repeated and _expanded_size(yaml.compose(text, Loader=_base_loader()), {}, 0) > repeated:
        raise unusable_policy(where, "repeats too much by aliases")


def _expanded_size(node: Any, sizes: dict[int, float], depth: int) -> float:
    """Return the number of characters that a node stands for; endless where it contains itself."""
    if node is None or depth > 2 * MAX_DEPTH:
        return 0 if node is None else math.inf
    known = sizes.get(id(node))
    if known is None:
        # A node that is reached again before its size is known contains itself.
        sizes[id(node)] = math.inf
        children = node.value if isinstance(node.value, list) else ()
        inner = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
        own = 1 + (len(node.value) if isinstance(node.value, str) else 0)
        known = sizes[id(node)] = own + sum(_expanded_size(child, sizes, depth + 1) for child in inner)
    return known


def _base_loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# The scalars of JSON with their possible first characters; everything else is a string.
_DIGITS = "-+.0123456789"
_WHOLE = r"[-+]?(?:0|[1-9][0-9]*)"
_POWER = r"[eE][-+]?[0-9]+"
_SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    "null": (r"~|null|Null|NULL|", [*"~nN", ""]),
    "int": (_WHOLE, [*_DIGITS]),
    "float": (rf"{_WHOLE}(?:\.[0-9]*(?:{_POWER})?|{_POWER})|[-+]?\.[0-9]+(?:{_POWER})?", [*_DIGITS]),
}


@cache
def _json_loader() -> Any:
    """Return a loader class that builds only JSON values."""

    class JsonLoader(_base_loader()):  # type: ignore[misc]
        yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    for kind, (pattern, first) in _SCALARS.items():
        JsonLoader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(rf"(?:{pattern})\Z"), first)
    JsonLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
    JsonLoader.add_constructor("tag:yaml.org,2002:int", _number)
    JsonLoader.add_constructor("tag:yaml.org,2002:float", _number)
    return JsonLoader


def _mapping(loader: Any, node: Any) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise _yaml_error("a key is not text; write it in quotes", key_node)
        if key in mapping:
            raise _yaml_error(f"the key '{key[:60]}' appears twice", key_node)
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


def _number(_loader: Any, node: Any) -> int | float:
    is_integer = node.tag.endswith(":int")
    # Only 20 characters of an integer are parsed: Python itself refuses thousands of digits.
    value = int(node.value[:20]) if is_integer else float(node.value)
    if not math.isfinite(value) or (is_integer and (len(node.value) > 20 or not -(2**63) <= value < 2**63)):
        raise _yaml_error("a number is too large", node)
    return value


def _yaml_error(what: str, node: Any) -> Exception:
    import yaml

    return yaml.constructor.ConstructorError(None, None, what, node.start_mark)


def unusable_policy(where: str, what: str, mark: Any = None, *, hint: str = SCHEMA_HINT) -> PlannerError:
    """Return the error for a policy that cannot be used, with the line and column of `mark`."""
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
    return PlannerError("E_POLICY", f"'{where}' {what}{place}", hint=hint)


def policy_too_large(where: str, size: int, limit: int = MAX_POLICY_BYTES) -> PlannerError:
    """Return the error for a document of `size` bytes, which is more than is read."""
    return unusable_policy(where, f"has {size:,} bytes; at most {limit:,} are read")
