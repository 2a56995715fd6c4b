"""Disputes: notes beside a ledger's records that a record does not hold. Pure.

A record is never rewritten. Its dispute is a file of its own on the plan's branch, so that the dispute is
reviewed, pushed and merged like the record, and two clones can dispute one record without a conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from git_planner.rules.records.ranking import is_better, pick_best
from git_planner.rules.records.row import MAX_TEXT, RecordRow, find_baseline
from git_planner.rules.refnames import DISPUTES, number_text, random_token

if TYPE_CHECKING:
    from git_planner.rules.records.record import Record

SCHEMA = "git-planner/dispute@1"
VERDICT: Literal["disputed"] = "disputed"


@dataclass(frozen=True, slots=True)
class Dispute:
    """The statement that a record does not hold.

    `by` is 'measurement' or the person; `measured` is the id of the record that contradicts it, if one does.
    """

    record: str
    why: str
    by: str
    measured: str | None
    created_at: str

    @property
    def path(self) -> str:
        """Return a new path for it on the plan's branch."""
        return f"{DISPUTES}/{self.record}.{random_token()}.json"

    def document(self) -> dict[str, Any]:
        """Return the dispute as a JSON document."""
        return {"schema": SCHEMA, **asdict(self)}


def disputed_record(name: str) -> str:
    """Return the id of the record that a dispute's file name names."""
    return name.split(".", 1)[0]


def describe(document: Any) -> str:
    """Return why a record is disputed, from the dispute's document, which may come from anywhere."""
    if not isinstance(document, Mapping):
        return "its dispute cannot be read"
    why, by, measured = (document.get(key) for key in ("why", "by", "measured"))
    text = str(why or "no reason is given").strip()[: MAX_TEXT // 4]
    if measured:
        return f"{text} (record '{str(measured)[:60]}')"
    return f"{text} (rejected by {str(by)[:200]})"


def with_dispute(record: Record, why: str) -> Record:
    """Return a disputed record as it is shown: not valid, with the reason and what it had claimed."""
    claimed = (
        f"it said: {record.verdict}, {record.summary}" if record.summary else f"it said: {record.verdict}"
    )
    return record.with_(
        verdict=VERDICT,
        reason=VERDICT,
        threshold_met=False,
        summary=f"{why}; {claimed}"[:MAX_TEXT],
        notes=(*record.notes, f"disputed: {why}"),
    )


def list_claims(
    rows: Sequence[RecordRow], here: Sequence[RecordRow], instrument: str, kind: str
) -> list[RecordRow]:
    """Return the records that claim a better result than was measured here, the best claim first.

    A claim of a tree that was measured here counts only if that measurement contradicts it. Of a noisy
    metric, a later gain is over an earlier one, so what came before a claim that holds is none.

    Args:
        rows: the ledger, oldest first.
        here: the rows that were measured here, in this environment.
        instrument: the instrument.
        kind: the deciding metric's kind, 'deterministic' or 'noisy'.
    """
    own = [row for row in here if row.instrument == instrument and row.valid and row.value is not None]
    by_tree, ids = {row.tree: row for row in own}, {row.id for row in own}
    baseline, top = find_baseline(own, instrument), pick_best(own)
    claims: list[RecordRow] = []
    for row in rows:
        if row.verdict != "improved" or row.instrument != instrument or row.value is None or row.id in ids:
            continue
        measured = by_tree.get(row.tree)
        if measured is not None:
            if contradiction(row, measured, baseline, kind) is not None:
                claims.append(row)
            elif row.rival is not None:
                claims.clear()
        elif row.rival is not None or top is None or is_better(row.value, top.value or 0.0, row.direction):
            claims.append(row)
    sign = -1.0 if claims and claims[0].direction == "higher" else 1.0
    keys = [(0.0 if row.rival else sign * (row.value or 0.0), -place) for place, row in enumerate(claims)]
    return [claims[-place] for _, place in sorted(keys)]


def contradiction(
    claim: RecordRow, now: Record | RecordRow, baseline: RecordRow | None, kind: str
) -> str | None:
    """Return why a new measurement contradicts a record of the same tree and instrument; None if it does not.

    In one environment a deterministic metric has one value. Elsewhere values may differ, but what was an
    improvement must be better than the base there. A gain of a noisy metric must be found again.

    Args:
        claim: the older record.
        now: the new record.
        baseline: the instrument's baseline that was measured where the new record was.
        kind: the deciding metric's kind, 'deterministic' or 'noisy'.
    """
    if not claim.valid or now.verdict in ("unmeasured", VERDICT):
        return None
    if not now.valid:
        return f"measured again it is not valid: {_summary(now)}"
    if claim.value is None or now.value is None:
        return None
    if kind == "deterministic" and claim.environment_digest == now.environment_digest:
        return None if claim.value == now.value else _both_values(claim, now)
    if claim.verdict != "improved" or baseline is None or now.kind == "baseline":
        return None
    return _missing_gain(claim, now, baseline, kind)


def _missing_gain(claim: RecordRow, now: Record | RecordRow, baseline: RecordRow, kind: str) -> str | None:
    if kind == "deterministic":
        if baseline.value is None or now.value is None or is_better(now.value, baseline.value, now.direction):
            return None
        return f"{_both_values(claim, now)}; the base has {number_text(baseline.value)} here"
    if now.verdict == "improved" or now.rival is None or now.rival not in (claim.rival, baseline.id):
        return None
    return f"its gain was not found again: {_summary(now)}"


def _summary(now: Record | RecordRow) -> str:
    return now.verdict if isinstance(now, RecordRow) else now.summary


def _both_values(claim: RecordRow, now: Record | RecordRow) -> str:
    return f"{number_text(now.value or 0.0)} was measured here, not {number_text(claim.value or 0.0)}"


def apply_to_rows(rows: Iterable[RecordRow], disputed: set[str]) -> list[RecordRow]:
    """Return rows with the verdict of the disputed ones replaced."""
    if not disputed:
        return list(rows)
    return [
        row._replace(verdict=VERDICT, reason=VERDICT, threshold_met=False) if row.id in disputed else row
        for row in rows
    ]
