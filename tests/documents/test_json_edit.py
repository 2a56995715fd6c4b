"""Members of a JSON text are set and removed, and every other byte stays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.errors import PlannerError
from git_planner.rules.documents.json_edit import read_member, remove_member, set_member

NAMES = st.text(max_size=3)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.lists(NAMES, min_size=1, max_size=3),
    VALUES,
    st.sampled_from([None, 2, "\t"]),
)
def test_only_the_member_changes(
    document: dict[str, object], path: list[str], value: object, indent: int | str | None
) -> None:
    text = json.dumps(document, indent=indent)
    try:
        after = set_member(text, path, value)
    except PlannerError:
        place: object = document
        for name in path[:-1]:
            place = place.get(name, {}) if isinstance(place, dict) else None
        assert not isinstance(place, dict)
        return
    expected = json.loads(text)
    place = expected
    for name in path[:-1]:
        place = place.setdefault(name, {})
    place[path[-1]] = value
    assert json.loads(after) == expected
    assert read_member(after, path) == value
    del place[path[-1]]
    assert json.loads(remove_member(after, path)) == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "a": {\n    "b": 1\n  }\n}\n'),
        ("{}", '{\n  "a": {\n    "b": 1\n  }\n}'),
        ('{"c": 2}', '{\n  "a": {\n    "b": 1\n  },\n  "c": 2}'),
        ("{ // none\n}\n", '{\n  "a": {\n    "b": 1\n  } // none\n}\n'),
        ('{\n\t"a": {},\n}', '{\n\t"a": {\n\t\t"b": 1\n\t},\n}'),
        ('{"a": {"b": [1, 2]}} // end', '{"a": {"b": 1}} // end'),
    ],
)
def test_the_layout_of_what_is_set(before: str, after: str) -> None:
    assert set_member(before, ["a", "b"], 1) == after
    assert read_member(after, ["a", "b"]) == 1
    assert set_member(after, ["a", "b"], 1) == after
