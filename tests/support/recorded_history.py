"""A past for a plan: records on its ledger, as if they had been measured."""

from __future__ import annotations

from typing import Any

from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.records.record import MeasuredMetric, Record
from tests.support.lab import Lab


def record(number: int, commit: str, value: float | None, family: str, **more: Any) -> Record:
    """A record of an attempt."""
    metrics = (MeasuredMetric("size", "lines", "lower", (value,), value, 0.0),) if value is not None else ()
    fields: dict[str, Any] = {
        "id": f"20261121T1000{number:02d}Z-abcdefgh",
        "plan": "default",
        "kind": "attempt",
        "verdict": "improved" if metrics else "invalid",
        "reason": None if metrics else "guard",
        "commit": commit,
        "tree": "d" * 40,
        "patch_id": None,
        "base": "b" * 40,
        "branch": f"iter/{number:04d}-x",
        "iteration": number,
        "slug": "x",
        "instrument": "a" * 64,
        "environment_digest": "e" * 64,
        "metrics": metrics,
        "strategy": (f"family:{family}",),
        "hypothesis": "less is more",
        "change_summary": ("smaller",),
        "summary": f"size={value}",
        "created_at": f"2026-11-21T10:00:{number:02d}Z",
        **more,
    }
    return Record(**fields)


def keep(lab: Lab, *rows: Record) -> None:
    """Commit records to the default plan's ledger."""
    for row in rows:
        path = refnames.record_path(row.id)
        lab.rival("refs/heads/plan/default", path, canonical_json.dumps(row.document()).decode())
