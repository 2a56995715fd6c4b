"""Checks of a planning plan's steps beyond its schema: unique ids, known dependencies, no cycle. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from git_planner.rules.documents.messages import show_value
from git_planner.rules.tasks.dependency_graph import find_cycle


def find_step_faults(document: Mapping[str, Any]) -> list[str]:
    """Check the steps of a planning plan: unique ids, known dependencies, no cycle.

    Args:
        document: a document that is valid by its schema.

    Returns:
        One sentence per fault, '<json pointer>: <problem>'.
    """
    steps = document["steps"]
    faults = [*_duplicate_ids(steps), *_unknown_dependencies(steps)]
    graph = {
        step["id"]: [name for name in step.get("dependencies", ()) if name != step["id"]] for step in steps
    }
    cycle = find_cycle(graph)
    if cycle:
        faults.append(f"/steps: dependency cycle: {' → '.join(show_value(step_id) for step_id in cycle)}")
    return faults


def _duplicate_ids(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    first: dict[str, int] = {}
    for place, step in enumerate(steps):
        before = first.setdefault(step["id"], place)
        if before != place:
            yield f"/steps/{place}/id: {show_value(step['id'])} is the id of step {before + 1} already"


def _unknown_dependencies(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known = {other["id"] for other in steps}
    for place, step in enumerate(steps):
        for at, name in enumerate(step.get("dependencies", ())):
            if name == step["id"]:
                yield f"/steps/{place}/dependencies/{at}: {show_value(name)} depends on itself"
            elif name not in known:
                yield f"/steps/{place}/dependencies/{at}: {show_value(name)} is the id of no step"
