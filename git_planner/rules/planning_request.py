"""What a planning agent is asked, as typed values: commits with their metrics, goal, constraints. Pure.

The shapes are those that users of the older planning agent know; a packet carries the same facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class CommitMetric:
    """One measured number of a commit; `value` in `unit`."""

    name: str
    value: float
    unit: str | None = None
    higher_is_better: bool | None = None
    summary: str | None = None

    def document(self) -> dict[str, Any]:
        """The metric as a packet carries it."""
        better = {None: None, True: "higher", False: "lower"}[self.higher_is_better]
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "better": better,
            "summary": self.summary,
        }


@dataclass(frozen=True, slots=True)
class CommitPlanningContext:
    """One commit as a planner sees it. Collections of any kind become tuples and dicts."""

    commit_hash: str
    summary: str
    highlights: tuple[str, ...] = ()
    evaluation_summary: str | None = None
    metrics: tuple[CommitMetric, ...] = ()
    extra_context: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "highlights", texts(self.highlights))
        object.__setattr__(self, "metrics", tuple(self.metrics))
        object.__setattr__(self, "extra_context", dict(self.extra_context))

    def document(self) -> dict[str, Any]:
        """The commit as a packet carries it."""
        return {
            "commit": self.commit_hash,
            "summary": self.summary,
            "highlights": list(self.highlights),
            "evaluation_summary": self.evaluation_summary,
            "metrics": [each.document() for each in self.metrics],
            "extra_context": dict(self.extra_context),
        }


@dataclass(frozen=True, slots=True)
class PlanningAgentRequest:
    """What a plan is wanted for: a base, results to build on, the goal in words and its limits.

    `cold_start`: nothing valid has been measured yet.
    """

    base: CommitPlanningContext
    inspirations: tuple[CommitPlanningContext, ...] = ()
    goal: str = ""
    constraints: tuple[str, ...] = ()
    acceptance_criteria: tuple[str, ...] = ()
    iteration_hint: str | None = None
    cold_start: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "inspirations", tuple(self.inspirations))
        object.__setattr__(self, "constraints", texts(self.constraints))
        object.__setattr__(self, "acceptance_criteria", texts(self.acceptance_criteria))

    def packet_fields(self) -> dict[str, Any]:
        """The fields of a packet that say the same."""
        return {
            "goal_text": self.goal,
            "base_context": self.base.document(),
            "inspirations": [each.document() for each in self.inspirations],
            "acceptance_criteria": list(self.acceptance_criteria),
            "iteration_hint": self.iteration_hint,
            "cold_start": self.cold_start,
        }


def request_from(packet: Mapping[str, Any]) -> PlanningAgentRequest:
    """The request that a checked packet stands for."""
    base = packet["base_context"] or {"commit": packet["base"], "summary": packet["base_ref"]}
    return PlanningAgentRequest(
        base=commit_from(base),
        inspirations=tuple(commit_from(each) for each in packet["inspirations"]),
        goal=packet["goal_text"],
        constraints=tuple(packet["constraints"]["notes"]),
        acceptance_criteria=tuple(packet["acceptance_criteria"]),
        iteration_hint=packet["iteration_hint"],
        cold_start=packet["cold_start"],
    )


def commit_from(document: Mapping[str, Any]) -> CommitPlanningContext:
    """Read a commit of a checked packet."""
    return CommitPlanningContext(
        commit_hash=document["commit"],
        summary=document["summary"],
        highlights=tuple(document.get("highlights", ())),
        evaluation_summary=document.get("evaluation_summary"),
        metrics=tuple(
            CommitMetric(
                name=each["name"],
                value=each["value"],
                unit=each.get("unit"),
                higher_is_better={"higher": True, "lower": False}.get(each.get("better") or ""),
                summary=each.get("summary"),
            )
            for each in document.get("metrics", ())
        ),
        extra_context=document.get("extra_context", {}),
    )


def texts(items: str | Iterable[str] | None) -> tuple[str, ...]:
    """Items as a tuple of stripped texts without blanks; a single text is one item, None is none."""
    given = () if items is None else (items,) if isinstance(items, str) else items
    return tuple(text for text in (str(each).strip() for each in given) if text)
