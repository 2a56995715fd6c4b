"""Commits with their metrics, as a packet presents them to a planner. Pure."""

from __future__ import annotations

from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True)
class CommitPlanningContext:
    """One commit as presented to a planner."""

    commit_hash: str
    summary: str
    highlights: tuple[str, ...] = ()
    evaluation_summary: str | None = None
    metrics: tuple[CommitMetric, ...] = ()
    extra_context: Mapping[str, Any] = field(default_factory=dict)


def commit_from(document: Mapping[str, Any]) -> CommitPlanningContext:
    """Build a commit from a valid packet."""
    return CommitPlanningContext(
        commit_hash=document["commit"],
        summary=document["summary"],
        highlights=tuple(text for text in map(str.strip, document.get("highlights", ())) if text),
        evaluation_summary=document.get("evaluation_summary"),
        metrics=tuple(
            CommitMetric(
                name=metric["name"],
                value=metric["value"],
                unit=metric.get("unit"),
                higher_is_better={"higher": True, "lower": False}.get(metric.get("better") or ""),
                summary=metric.get("summary"),
            )
            for metric in document.get("metrics", ())
        ),
        extra_context=dict(document.get("extra_context", {})),
    )
