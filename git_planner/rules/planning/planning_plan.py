"""Planning plans as typed values, and the rules about their steps that a schema cannot say. Pure.

On paper a plan's summary is `plan_summary` and a step's name is `id`; here they are `summary` and `step_id`.
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
    """One actionable step. `dependencies` are ids of steps that must be done before."""

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
        """The step as JSON."""
        fields = {name: _plain(value) for name, value in asdict(self).items()}
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
        """The plan as the JSON document of its schema."""
        fields = {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}
        return {
            "schema": SCHEMA,
            "plan_summary": fields.pop("summary"),
            **fields,
            "steps": [step.document() for step in self.steps],
        }


def planning_plan_from(document: Mapping[str, Any]) -> PlanningPlan:
    """Read a planning plan from a document that has passed its schema."""
    fields = {key: _frozen(value) for key, value in document.items() if key not in ("schema", "plan_summary")}
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
    fields = {key: _frozen(value) for key, value in document.items() if key != "id"}
    empty: dict[str, Any] = {"files": (), "dependencies": (), "risks": (), "references": ()}
    return PlanStep(**{**empty, **fields, "step_id": document["id"]})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def find_step_faults(document: Mapping[str, Any]) -> list[str]:
    """Judge the steps of a planning plan: unique ids, known dependencies, no cycle.

    Args:
        document: a document that has passed its schema.

    Returns:
        One sentence a fault, '<json pointer>: what is wrong'.
    """
    steps = document["steps"]
    found = [*_repeated(steps), *_unknown(steps)]
    graph = {
        step["id"]: [name for name in step.get("dependencies", ()) if name != step["id"]] for step in steps
    }
    cycle = find_cycle(graph)
    if cycle:
        found.append(f"/steps: dependency cycle: {' → '.join(show_value(step_id) for step_id in cycle)}")
    return found


def _repeated(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    first: dict[str, int] = {}
    for place, step in enumerate(steps):
        before = first.setdefault(step["id"], place)
        if before != place:
            yield f"/steps/{place}/id: {show_value(step['id'])} is the id of step {before + 1} already"


def _unknown(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known = {other["id"] for other in steps}
    for place, step in enumerate(steps):
        for at, name in enumerate(step.get("dependencies", ())):
            if name == step["id"]:
                yield f"/steps/{place}/dependencies/{at}: {show_value(name)} depends on itself"
            elif name not in known:
                yield f"/steps/{place}/dependencies/{at}: {show_value(name)} is the id of no step"
