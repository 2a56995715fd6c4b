"""The fast path of validation accepts only what jsonschema accepts, and accepts ordinary documents."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner import documents
from git_planner.rules.documents import canonical_json, fast_accept
from git_planner.rules.plans.plan import new_plan
from tests.bench.tasks import task_like
from tests.support import samples

PLAN = {
    **new_plan("default", "Go", base="a" * 40, base_ref="main", created_at=samples.TIME),
    "tasks": [task_like(number).document() for number in range(1, 9)],
}
SOUND: dict[str, Any] = {
    "directive": samples.DIRECTIVE.document(),
    "state": samples.STATE.document(),
    "planning-plan": samples.PLANNING_PLAN,
    "record": samples.RECORD.document(),
    "policy": samples.POLICY,
    "plan": PLAN,
    "task": task_like(7).document(),
}
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2**70)
    | st.floats()
    | st.sampled_from(
        ("", " ", "x", "\0", "\x85", "é" * 300, "todo", "task_001", "TASK-1", "a" * 40, "0" * 41)
    )
    | st.just("x" * 30_000)
    | st.lists(st.sampled_from(("x", "x", 1, None)), max_size=3)
    | st.just(["x"] * 3_000)
    | st.dictionaries(st.sampled_from(("a", "kind", "")), st.integers() | st.text(max_size=3), max_size=2)
)


def stored(document: Any) -> Any:
    """Return a document as it is read back from a file."""
    return canonical_json.loads(canonical_json.dumps(document), "a file")


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a document."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [
        *([path] if path else []),
        *(place for key, value in inner for place in places(value, (*path, key))),
    ]


@pytest.mark.parametrize("kind", SOUND)
def test_valid_samples_are_accepted_without_jsonschema(kind: str) -> None:
    assert fast_accept.accepts(documents.inlined_schema(kind), stored(SOUND[kind]))


@pytest.mark.parametrize("kind", SOUND)
@given(data=st.data())
def test_accepted_values_are_accepted_by_jsonschema(kind: str, data: st.DataObject) -> None:
    schema, document = documents.inlined_schema(kind), copy.deepcopy(stored(SOUND[kind]))
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(places(document)))
        node = document
        for step in way:
            node = node[step]
        match data.draw(st.sampled_from(("set", "drop", "add"))):
            case "set":
                node[last] = copy.deepcopy(data.draw(VALUES))
            case "drop":
                del node[last]
            case "add" if isinstance(node, dict):
                node[data.draw(st.sampled_from(("surplus", "", "a" * 500)))] = copy.deepcopy(
                    data.draw(VALUES)
                )
            case _:
                node.insert(0, copy.deepcopy(data.draw(VALUES)))
        if not places(document):
            break
    if fast_accept.accepts(schema, document):
        assert list(documents.build_validator(schema).iter_errors(document)) == []


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"unheard": 1}, 1),
        ({"type": "unknown"}, 1),
        ({"type": "integer"}, True),
        ({"type": "integer"}, 1.0),
        ({"type": "number"}, float("nan")),
        ({"enum": [1]}, True),
        ({"const": 1}, 1.0),
        ({"minimum": 0}, True),
        ({"not": {"type": "string"}}, 1),
        ({"not": {"pattern": "x"}}, 1),
        ({"uniqueItems": True}, [1, 1]),
        ({"items": {}, "maxItems": 1}, [1, 2]),
        ({"else": {"type": "string"}}, 1),
    ],
)
def test_uncertain_values_are_left_to_jsonschema(schema: dict[str, Any], value: Any) -> None:
    assert not fast_accept.accepts(schema, value)
