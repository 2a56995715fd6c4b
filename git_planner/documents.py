"""Validate JSON documents against the schemas of their kinds. The only module that imports jsonschema.

The schemas are package data, one file per kind. Hooks import this module, so it imports little: jsonschema
is loaded only if the fast path of validation is not certain.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from git_planner.errors import PlannerError
from git_planner.rules.documents import canonical_json, fast_accept, messages

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

KINDS = (
    "approval",
    "canon-lock",
    "choice",
    "claim",
    "compose",
    "compose-overrides",
    "coverage",
    "directive",
    "dispute",
    "error",
    "event",
    "measurement",
    "module",
    "noise",
    "packet",
    "plan",
    "plan-options",
    "planning-plan",
    "policy",
    "record",
    "remark",
    "result",
    "session",
    "state",
    "tests",
    "tournament",
    "tournament-prompt",
    "variant",
    "variant-review",
)
# Parts of documents that have schemas of their own.
PARTS = ("task",)
STRICT_KINDS = ("directive", "plan-options", "planning-plan")
MAX_PROBLEMS = 50

# Array keywords that an empty list always satisfies.
_EMPTY_LIST_KEYWORDS = {"type", "description", "items", "maxItems", "uniqueItems"}

# Kinds that embed documents of other kinds, as '#/$defs/<the other kind>'.
_EMBEDDED_KINDS = {"state": ("directive",), "plan": ("task",)}


def schema(kind: str, *, families: Sequence[str] = (), blocked: Iterable[str] = ()) -> dict[str, Any]:
    """Return the self-contained JSON Schema (2020-12) of a kind of document.

    Args:
        kind: one of KINDS or PARTS.
        families: for 'directive', the strategy families to choose from, with or without their 'family:'
            prefix; empty allows any family.
        blocked: the families that may not be chosen now; ignored if it is all of them.

    Raises:
        PlannerError: E_USAGE for an unknown kind.
    """
    full = copy.deepcopy(_schema_file(kind))
    for other in _EMBEDDED_KINDS.get(kind, ()):
        inner = copy.deepcopy(_schema_file(other))
        full["$defs"] |= inner.pop("$defs")
        full["$defs"][other] = {key: value for key, value in inner.items() if not key.startswith("$")}
    if kind == "directive" and families:
        from git_planner.rules.planning.directive import directive_schema

        return directive_schema(full, families, blocked)
    return full


def strict_schema(kind: str, *, families: Sequence[str] = (), blocked: Iterable[str] = ()) -> dict[str, Any]:
    """Return the form of a schema for OpenAI's strict mode; parameters as for `schema`.

    Raises:
        PlannerError: E_USAGE for a kind that no model writes.
    """
    full = schema(kind, families=families, blocked=blocked)
    if kind not in STRICT_KINDS:
        raise PlannerError(
            "E_USAGE",
            f"'{kind}' has no strict form, because planners do not write it",
            hint=f"kinds with a strict form: {', '.join(STRICT_KINDS)}",
        )
    from git_planner.rules.documents.strict_mode import strict_form

    return strict_form(full)


def validate(
    kind: str, document: Any, *, families: Sequence[str] = (), blocked: Iterable[str] = ()
) -> list[str]:
    """Validate a document against the schema of its kind.

    Returns:
        One sentence per problem, '<json pointer>: what is wrong', sorted by place; at most MAX_PROBLEMS and a
        last one if there are more. Empty if the document is valid.
    """
    document = _with_current_keys(kind, document)
    if kind == "directive" and families:
        own = schema(kind, families=families, blocked=blocked)
        full = _inline_references(own, own)
    else:
        full = inlined_schema(kind)
    return list_problems(full, document)


def list_problems(full: Mapping[str, Any], document: Any) -> list[str]:
    """Validate a value against a schema without references; the result is that of `validate`."""
    if fast_accept.accepts(full, document):
        return []
    # A hostile document may have a million problems: stop at the limit.
    located: set[tuple[tuple[str, ...], str]] = set()
    for fault in (
        fault for error in build_validator(full).iter_errors(document) for fault in _error_problems(error)
    ):
        located.add(fault)
        if len(located) > MAX_PROBLEMS:
            break
    problems = [
        f"{messages.json_pointer(path)}: {message}" for path, message in sorted(located, key=_place_key)
    ]
    return problems if len(problems) <= MAX_PROBLEMS else [*problems[:MAX_PROBLEMS], "/: has more problems"]


def _with_current_keys(kind: str, document: Any) -> Any:
    """Return a document with the current key names of the directive that it is or holds."""
    directive = document if kind == "directive" else _directive_of(kind, document)
    if not isinstance(directive, Mapping):
        return document
    from git_planner.rules.planning.directive import rename_old_keys

    renamed = rename_old_keys(directive)
    if renamed is directive:
        return document
    return renamed if kind == "directive" else {**document, "directive": renamed}


def _directive_of(kind: str, document: Any) -> Any:
    return document.get("directive") if kind == "state" and isinstance(document, Mapping) else None


def check(
    kind: str, document: Any, where: str, *, families: Sequence[str] = (), blocked: Iterable[str] = ()
) -> None:
    """Refuse a document that is not valid by the schema of its kind.

    Args:
        kind: one of KINDS or PARTS.
        document: the parsed document.
        where: its name in errors, such as a path.

    Raises:
        PlannerError: E_SCHEMA, with one detail per problem.
    """
    faults = validate(kind, document, families=families, blocked=blocked)
    if faults:
        raise invalid_document_error(kind, faults, where)


def invalid_document_error(kind: str, faults: Sequence[str], where: str) -> PlannerError:
    """Return the error for a document with problems."""
    return PlannerError(
        "E_SCHEMA",
        f"'{where}' is not a valid {kind.replace('-', ' ')}: {faults[0]}",
        hint=f"see the schema with 'git planner schema {kind}'",
        details=faults,
    )


def read(kind: str, data: bytes | str, where: str) -> dict[str, Any]:
    """Parse a document from bytes or text and validate it.

    Raises:
        PlannerError: E_JSON, E_SCHEMA.
    """
    document = canonical_json.loads(data, where)
    check(kind, document, where)
    assert isinstance(document, dict)
    return document


def complete_answer(kind: str, document: Any) -> Any:
    """Return a planner's answer in its stored form: with `schema`, without the nulls that mean 'absent'.

    A value that is not an object is returned unchanged, for `check` to refuse.
    """
    if not isinstance(document, dict):
        return document
    from git_planner.rules.documents.strict_mode import remove_nulls

    filled = remove_nulls(_with_current_keys(kind, document), _schema_file(kind))
    return {"schema": _schema_file(kind)["$id"], **filled}


@cache
def _schema_file(kind: str) -> dict[str, Any]:
    if kind not in (*KINDS, *PARTS):
        from git_planner.rules.did_you_mean import close_names, did_you_mean

        raise PlannerError(
            "E_USAGE",
            f"{kind[:80]!r} is not a kind of document",
            hint=did_you_mean(close_names(kind, (*KINDS, *PARTS)), f"kinds: {', '.join((*KINDS, *PARTS))}"),
        )
    with open(os.path.join(os.path.dirname(__file__), "schemas", f"{kind}.json"), "rb") as file:
        document = canonical_json.loads_trusted(file.read())
    assert isinstance(document, dict)
    return document


@cache
def inlined_schema(kind: str) -> dict[str, Any]:
    """Return the schema of a kind with all references inlined, because resolving them is slow."""
    full = schema(kind)
    inlined: dict[str, Any] = _inline_references(full, full)
    return inlined


def build_validator(full: Mapping[str, Any]) -> Validator:
    """Return a jsonschema validator for a schema without references, with a few own keyword checks."""
    from jsonschema import Draft202012Validator, validators
    from referencing import Registry

    # JSON Schema accepts 1.0 as an integer; here neither 1.0 nor Python's bool is one.
    types = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "array": _is_list})
    strict = validators.create(
        Draft202012Validator.META_SCHEMA,
        validators={
            **Draft202012Validator.VALIDATORS,
            "items": _items,
            "properties": _properties,
            "uniqueItems": _unique,
        },
        type_checker=types,
    )
    validator: Validator = strict(full, registry=Registry())  # an empty registry: nothing is fetched
    return validator


def _is_integer(_checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(_checker: object, value: object) -> bool:
    # Typed values hold tuples, which are arrays in JSON too.
    return isinstance(value, (list, tuple))


def _inline_references(node: Any, root: Mapping[str, Any]) -> Any:
    """Return a schema node with its references inlined."""
    if isinstance(node, list):
        return [_inline_references(item, root) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = root["$defs"][node["$ref"].removeprefix("#/$defs/")]
        # The description of the target replaces the one beside the reference: it tells the required form.
        node = {**node, **target}
        del node["$ref"]
    return {key: _inline_references(value, root) for key, value in node.items() if key != "$defs"}


def _properties(
    validator: Any, properties: Mapping[str, Any], instance: object, _node: object
) -> Iterator[Any]:
    # Most fields of most tasks are empty, and jsonschema spends as much time on these as on all others.
    if isinstance(instance, Mapping):
        for name, node in properties.items():
            if name in instance and not _is_empty_by_schema(instance[name], node):
                yield from validator.descend(instance[name], node, path=name, schema_path=name)


def _is_empty_by_schema(value: object, node: Mapping[str, Any]) -> bool:
    """Return whether a value is a null or an empty list that the schema plainly allows."""
    if value is None:
        return node.keys() <= {"anyOf", "description"} and {"type": "null"} in node.get("anyOf", ())
    is_list = isinstance(value, (list, tuple)) and not value
    return is_list and node.get("type") == "array" and node.keys() <= _EMPTY_LIST_KEYWORDS


def _items(
    validator: Any, node: Mapping[str, Any], items: object, around: Mapping[str, Any]
) -> Iterator[Any]:
    # Stop at 'maxItems': a million items too many are one problem.
    if isinstance(items, (list, tuple)):
        for place, item in enumerate(items[: around.get("maxItems")]):
            yield from validator.descend(item, node, path=place)


def _unique(_validator: object, required: bool, items: object, _node: object) -> Iterator[ValidationError]:
    # All lists with this keyword hold strings; jsonschema's own check compares mixed lists pairwise.
    from jsonschema.exceptions import ValidationError

    texts = [item for item in items if isinstance(item, str)] if isinstance(items, (list, tuple)) else []
    if required and len(set(texts)) < len(texts):
        yield ValidationError("not unique")


def _place_key(fault: tuple[tuple[str, ...], str]) -> tuple[tuple[str, ...], str]:
    path, message = fault
    return tuple(step.zfill(9) if step.isdigit() else step for step in path), message


def _error_problems(error: ValidationError) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the problems of one error of jsonschema, as path and message."""
    if error.validator == "anyOf":
        # All of them mean 'this or null': the problems of 'this' tell more than 'neither of both'.
        for inner in error.context or ():
            if inner.validator != "type" or inner.validator_value != "null":
                yield from _error_problems(inner)
        return
    path = tuple(str(step) for step in error.absolute_path)
    node = error.schema if isinstance(error.schema, Mapping) else {}
    wants_text = node.get("type") == "string" and not isinstance(error.instance, str)
    if wants_text and error.validator in ("enum", "const", "not"):
        return  # the wrong type is reported already
    yield from messages.keyword_problems(
        path, str(error.validator), error.validator_value, error.instance, node
    )
