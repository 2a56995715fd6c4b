"""Planning plans as typed values, and the checks of their steps that a schema cannot express. Pure.

In the document the summary is `plan_summary` and a step's id is `id`; here they are `summary` and `step_id`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from git_planner.rules.documents.messages import show_value
from git_planner.rules.tasks.dependency_graph import find_cycle

SCHEMA = "git-planner/planning-plan@1"


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One actionable step. `dependencies` are ids of steps that must be done first."""

    step_id: str
    title: str
    intent: str
    actions: tuple[str, ...]
    files: tuple[str, ...]
    dependencies: tuple[str, ...]
    validation: tuple[str, ...]
    risks: tuple[str, ...]
    references: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return the step as a JSON document."""
        fields = {name: _as_list(value) for name, value in asdict(self).items()}
        return {"id": fields.pop("step_id"), **fields}


@dataclass(frozen=True, slots=True)
class PlanningPlan:
    """A planner's answer in several steps."""

    summary: str
    rationale: str
    focus_metrics: tuple[str, ...]
    guardrails: tuple[str, ...]
    risks: tuple[str, ...]
    validation: tuple[str, ...]
    steps: tuple[PlanStep, ...]
    handoff_notes: tuple[str, ...]
    fallback_plan: str | None

    def document(self) -> dict[str, Any]:
        """Return the plan as a JSON document."""
        fields = {name: _as_list(getattr(self, name)) for name in self.__dataclass_fields__}
        return {
            "schema": SCHEMA,
            "plan_summary": fields.pop("summary"),
            **fields,
            "steps": [step.document() for step in self.steps],
        }


def planning_plan_from(document: Mapping[str, Any]) -> PlanningPlan:
    """Build a planning plan from a valid document."""
    fields = {
        key: _as_tuple(value) for key, value in document.items() if key not in ("schema", "plan_summary")
    }
    return PlanningPlan(
        **{
            "handoff_notes": (),
            "fallback_plan": None,
            **fields,
            "summary": document["plan_summary"],
            "steps": tuple(_step(step) for step in document["steps"]),
        }
    )


def _step(document: Mapping[str, Any]) -> PlanStep:
    fields = {key: _as_tuple(value) for key, value in document.items() if key != "id"}
    empty: dict[str, Any] = {"files": (), "dependencies": (), "risks": (), "references": ()}
    return PlanStep(**{**empty, **fields, "step_id": document["id"]})


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


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
