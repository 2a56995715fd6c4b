"""Directives: families, tags and the schema for the families that are allowed now."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from git_planner.rules.planning.directive import allowed_families, directive_schema, prefix_family
from tests.support import samples

NAMES = st.lists(st.sampled_from("abcd"), unique=True, max_size=4)


@given(NAMES, NAMES)
def test_blocked_families_are_out_unless_that_leaves_none(names: list[str], blocked: list[str]) -> None:
    allowed = allowed_families(names, [prefix_family(item) for item in blocked])
    free = [f"family:{name}" for name in names if name not in blocked]
    assert list(allowed) == (free or [f"family:{name}" for name in names])


def test_a_family_is_prefixed_once() -> None:
    assert prefix_family("a") == prefix_family("family:a") == "family:a"


def test_the_schema_that_is_given_is_left_as_it_is() -> None:
    schema = {"properties": {"strategy_family": {"type": "string"}}}
    assert directive_schema(schema, ["a", "b"], ["b"]) == {
        "properties": {"strategy_family": {"type": "string", "enum": ["family:a"]}}
    }
    assert directive_schema(schema, []) == schema == {"properties": {"strategy_family": {"type": "string"}}}


def test_a_record_carries_the_family_and_up_to_three_modifiers() -> None:
    assert samples.DIRECTIVE.strategy == ("family:reduce_loads", "hoist")
