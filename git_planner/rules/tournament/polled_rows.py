"""Rows of variants that follow from what a source reports. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from git_planner.rules.tournament.source import PollResult, SourceState
from git_planner.rules.tournament.variant import Variant, VariantState

Rows = Mapping[tuple[int, int], Variant]
_STATES: Mapping[SourceState, VariantState] = {
    "pending": "pending",
    "working": "working",
    "unknown": "working",
    "ready": "ready",
    "failed": "failed",
    "cancelled": "cancelled",
}
_TAKEN = ("harvested", "broken")


def polled_rows(rows: Rows, turn: int, result: PollResult) -> tuple[Variant, ...]:
    """Return the rows of a turn that change by an answer of the source, without gaps in their numbers.

    A variant that was harvested, or whose payload was broken, stays as it is.
    """
    polled = {variant.number: variant for variant in result.variants}
    last = max([*polled, *(number for row_turn, number in rows if row_turn == turn)], default=0)
    changed = []
    for number in range(1, last + 1):
        old = rows.get((turn, number))
        variant = polled.get(number)
        if variant is None:
            if old is None:
                changed.append(
                    Variant(turn, number, "failed", note="the source has no variant of this number")
                )
            continue
        if old is not None and old.state in _TAKEN:
            continue
        row = replace(
            old or Variant(turn, number, "pending"),
            state=_STATES[variant.state],
            reported=variant.reported or None,
            source_id=variant.source_id or str(number),
            agent=dict(variant.agent) or (old.agent if old else {}),
            note=variant.note,
        )
        if row != old:
            changed.append(row)
    return tuple(changed)


def closed_rows(rows: Rows, turn: int, note: str) -> tuple[Variant, ...]:
    """Return the rows of a turn that were still at work, as failed."""
    return tuple(
        replace(row, state="failed", note=note)
        for (row_turn, _), row in sorted(rows.items())
        if row_turn == turn and not row.has_ended
    )


def states_text(rows: Rows, turn: int) -> str:
    """Return how many variants of a turn are in which state: '3 ready, 1 failed'."""
    counts = Counter(row.state for (row_turn, _), row in rows.items() if row_turn == turn)
    return ", ".join(f"{number} {state}" for state, number in counts.items()) or "no variant yet"
