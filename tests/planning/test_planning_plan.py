"""The graph of a planning plan's steps."""

from __future__ import annotations

import graphlib
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.rules.planning.planning_plan import find_step_faults
from git_planner.rules.tasks.dependency_graph import find_cycle
from tests.support import samples


def plan(*steps: tuple[str, list[str]]) -> dict[str, Any]:
    written = [{**samples.STEP, "id": name, "dependencies": after} for name, after in steps]
    return {**samples.PLANNING_PLAN, "steps": written}


@pytest.mark.parametrize(
    ("steps", "faults"),
    [
        ([("a", []), ("b", ["a"]), ("c", ["a", "b"])], []),
        ([("b", ["a"]), ("a", [])], []),
        (
            [("a", []), ("a", []), ("a", [])],
            ["/steps/1/id: 'a' is the id of step 1 already", "/steps/2/id: 'a' is the id of step 1 already"],
        ),
        ([("a", ["a"])], ["/steps/0/dependencies/0: 'a' depends on itself"]),
        ([("a", []), ("b", ["a", "zz"])], ["/steps/1/dependencies/1: 'zz' is the id of no step"]),
        ([("a", ["c"]), ("b", ["a"]), ("c", ["b"])], ["/steps: dependency cycle: 'a' → 'c' → 'b' → 'a'"]),
        ([("x", ["a"]), ("a", ["b"]), ("b", ["a"])], ["/steps: dependency cycle: 'a' → 'b' → 'a'"]),
        ([("a", ["b\x1b"]), ("b\x1b", ["a"])], ["/steps: dependency cycle: 'a' → 'b\\u001b' → 'a'"]),
    ],
)
def test_steps_are_judged(steps: list[tuple[str, list[str]]], faults: list[str]) -> None:
    assert find_step_faults(plan(*steps)) == faults


GRAPHS = st.dictionaries(
    st.integers(0, 7).map(str), st.lists(st.integers(0, 8).map(str), max_size=4), max_size=8
)


@given(GRAPHS)
def test_a_cycle_is_found_exactly_when_there_is_one(graph: dict[str, list[str]]) -> None:
    cycle = find_cycle(graph)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError:
        assert cycle[0] == cycle[-1]
        assert all(after in graph[before] for before, after in itertools.pairwise(cycle))
        assert len(set(cycle[1:])) == len(cycle) - 1 > 0
    else:
        assert cycle == []


def test_a_long_chain_is_no_danger() -> None:
    chain = {str(number): [str(number + 1)] for number in range(50_000)}
    assert find_cycle(chain) == []
    assert len(find_cycle({**chain, "50000": ["0"]})) == 50_002


def test_what_may_be_absent_is_no_fault() -> None:
    document = plan(("a", []))
    for key in ("files", "dependencies", "risks", "references"):
        del document["steps"][0][key]
    for key in ("handoff_notes", "fallback_plan"):
        del document[key]
    assert find_step_faults(document) == []
