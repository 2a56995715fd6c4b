"""The strict form of a schema, compared with the full schema."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from git_planner import documents
from git_planner.rules.documents.strict_mode import DROPPED_KEYWORDS, remove_nulls, strict_form
from git_planner.rules.planning.directive import Directive
from tests.documents.test_validate import JUNK, nodes, stored
from tests.support import samples


@cache
def full(kind: str) -> dict[str, Any]:
    return documents.schema(kind)


def reduced(node: Any) -> Any:
    """The full schema without the keywords that strict mode lacks: the oracle."""
    if not isinstance(node, dict):
        return [reduced(item) for item in node] if isinstance(node, list) else node
    keywords = {key: value for key, value in node.items() if key not in DROPPED_KEYWORDS}
    for key in ("properties", "$defs"):
        if key in keywords:
            keywords[key] = {name: reduced(value) for name, value in keywords[key].items()}
    for key in ("items", "anyOf"):
        if key in keywords:
            keywords[key] = reduced(keywords[key])
    return keywords


@cache
def accepts(kind: str, form: str) -> Callable[[Any], bool]:
    schema = {"full": full, "strict": documents.strict_schema, "reduced": lambda k: reduced(full(k))}[form](
        kind
    )
    return Draft202012Validator(schema).is_valid


def changed(document: Any, data: st.DataObject) -> Any:
    """Return a document with one value replaced, removed or added."""
    document = copy.deepcopy(document)
    node = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return document
        key = data.draw(st.sampled_from(keys))
        if isinstance(node[key], (dict, list)) and node[key] and data.draw(st.booleans()):
            node = node[key]
            continue
        deed = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if deed == "replace":
            node[key] = data.draw(JUNK)
        elif deed == "remove":
            del node[key]
        elif isinstance(node, dict):
            node[data.draw(st.sampled_from(["more", "schema", "risk"]))] = data.draw(JUNK)
        else:
            node.extend(node * data.draw(st.sampled_from([1, 3, 20])))
        return document


def with_nulls(document: Any) -> Any:
    """A planning plan as strict mode expresses it: absent keys are null."""
    optional = {"handoff_notes": None, "fallback_plan": None}
    parts = {"files": None, "dependencies": None, "risks": None, "references": None}
    steps = document.get("steps")
    if isinstance(steps, list):
        document = {
            **document,
            "steps": [{**parts, **step} if isinstance(step, dict) else step for step in steps],
        }
    return {**optional, **document}


@given(samples.DIRECTIVES, st.data())
def test_the_strict_directive_accepts_the_same_as_far_as_it_can_say(
    value: Directive, data: st.DataObject
) -> None:
    document = stored(value.document())
    assert accepts("directive", "strict")(document)
    document = changed(document, data)
    assert accepts("directive", "strict")(document) == accepts("directive", "reduced")(document)
    if documents.validate("directive", document) == []:
        assert accepts("directive", "strict")(document)


@given(samples.PLANNING_PLANS, st.data())
def test_the_strict_planning_plan_accepts_the_same_as_far_as_it_can_say(
    value: dict[str, Any], data: st.DataObject
) -> None:
    document = changed(value, data)
    if documents.validate("planning-plan", document) == []:
        assert accepts("planning-plan", "strict")(with_nulls(document))
    if accepts("planning-plan", "strict")(document):
        assert accepts("planning-plan", "reduced")(remove_nulls(document, full("planning-plan")))


@pytest.mark.parametrize("kind", documents.STRICT_KINDS)
def test_the_strict_form_has_only_what_strict_mode_knows(kind: str) -> None:
    allowed = {
        "type",
        "description",
        "enum",
        "anyOf",
        "items",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "properties",
        "required",
        "additionalProperties",
    }
    for where, node in nodes(documents.strict_schema(kind)):
        assert set(node) <= allowed, where
        assert "anyOf" in node or "type" in node, where
        if node.get("type") == "object":
            assert node["additionalProperties"] is False, where
            assert node["required"] == list(node["properties"]), where


def test_nulls_that_mean_absent_are_taken_out_and_others_stay() -> None:
    document = with_nulls(
        {key: value for key, value in samples.PLANNING_PLAN.items() if key != "handoff_notes"}
    )
    document["risks"] = None
    done = documents.complete_answer("planning-plan", document)
    assert "handoff_notes" not in done
    assert (done["fallback_plan"], done["risks"]) == (None, None)
    assert documents.validate("planning-plan", done) == ["/risks: must be a list, not null"]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "object", "additionalProperties": {"type": "string"}}, "an object with free keys"),
        ({"type": "object", "properties": {}}, "an object with free keys"),
        ({}, "requires a type everywhere"),
        ({"type": "string", "if": {}}, "cannot express if"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "the reference #/$defs/a"),
        ({"$ref": "other.json"}, "the reference other.json"),
    ],
)
def test_what_strict_mode_cannot_say_is_an_error_and_never_dropped(
    schema: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match="strict mode") as raised:
        strict_form(schema)
    assert message in str(raised.value)
