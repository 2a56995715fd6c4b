"""Ledger rows: the short form of records, for lists and lookups among thousands of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from git_planner.rules.refnames import new_id

Verdict = Literal["baseline", "improved", "within_noise", "worse", "invalid", "unmeasured", "disputed"]
# Verdicts of records that are no measurement, or one that is contradicted.
NOT_VALID = ("invalid", "unmeasured", "disputed")


class RecordRow(NamedTuple):
    """The short form of a record: plain values only, so that ten thousand rows are read quickly.

    `metric`, `unit`, `direction`, `value` and `spread` are of the deciding metric; `tests` is the digest of
    the test ids' document, `number` the comparison's place in its campaign, `blob` the object id of the
    record's file; other fields as in Record.
    """

    id: str
    plan: str
    kind: Literal["baseline", "attempt", "imported"]
    verdict: Verdict
    reason: str | None
    commit: str
    tree: str
    branch: str | None
    iteration: int | None
    instrument: str | None
    environment_digest: str | None
    metric: str | None
    unit: str
    direction: Literal["lower", "higher"]
    value: float | None
    spread: float
    delta: float | None
    threshold_met: bool
    cached_from: str | None
    tests: str | None
    rival: str | None
    number: int | None
    slug: str | None = None
    blob: str = ""

    @property
    def valid(self) -> bool:
        """True if the result is a measurement that nothing contradicts."""
        return self.verdict not in NOT_VALID


def row_from(document: Mapping[str, Any]) -> RecordRow:
    """Build the row of a record's document.

    Raises:
        KeyError, TypeError: it is not the document of a record.
    """
    metric, tests, comparison = (
        {**part}
        for part in (
            (document["metrics"] or [{}])[0],
            document["tests"] or {},
            document.get("comparison") or {},
        )
    )
    own = {name: document[name] for name in RecordRow._fields if name in document}
    return RecordRow(
        **{
            **own,
            "metric": metric.get("name"),
            "unit": metric.get("unit", ""),
            "direction": metric.get("better", "lower"),
            "value": metric.get("median"),
            "spread": metric.get("spread", 0.0),
            "tests": tests.get("ids"),
            "rival": comparison.get("rival"),
            "number": comparison.get("number"),
        }
    )


def find_same_commit(
    rows: Iterable[RecordRow],
    *,
    commit: str,
    instrument: str,
    environment: str | None,
    reason: str | None = None,
) -> RecordRow | None:
    """Find the newest reusable record of the same commit, instrument and environment.

    Args:
        environment: digest of the environment; None finds a candidate that was refused for `reason`.
    """
    newest = None
    for row in rows:
        if row.commit == commit and row.instrument == instrument and row.verdict != "unmeasured":
            fits = row.environment_digest == environment if environment else row.reason == reason
            newest = row if fits else newest
    return newest


def find_same_tree(
    rows: Iterable[RecordRow], *, tree: str, instrument: str, environment: str
) -> RecordRow | None:
    """Find the newest measured result for the same tree, instrument and environment."""
    newest = None
    for row in rows:
        if row.tree == tree and row.instrument == instrument and row.environment_digest == environment:
            newest = row if row.verdict != "unmeasured" else newest
    return newest


def find_baseline(rows: Iterable[RecordRow], instrument: str) -> RecordRow | None:
    """Find the baseline of an instrument, or its first valid record if it has none."""
    valid = [row for row in rows if row.valid and row.instrument == instrument]
    return next((row for row in valid if row.kind == "baseline"), valid[0] if valid else None)


def is_red(rows: Sequence[RecordRow], instrument: str) -> bool:
    """Return whether a base is red: its last two measurements were invalid alike, by the same tests.

    Args:
        rows: the rows that were measured here, in one environment, oldest first.
        instrument: the instrument.
    """
    runs = [row for row in rows if row.kind == "baseline" and row.instrument == instrument]
    last = [(row.verdict, row.reason, row.tests) for row in runs[-2:]]
    return len(last) == 2 and last[0] == last[1] and last[0][0] == "invalid"


def list_claims(rows: Iterable[RecordRow], measured_trees: set[str], instrument: str) -> list[RecordRow]:
    """Return the records that claim an improvement which was not measured here, the best claim first.

    Args:
        rows: the ledger.
        measured_trees: the trees that the instrument measured here.
        instrument: the instrument.
    """
    claims = [
        row
        for row in rows
        if row.verdict == "improved"
        and row.instrument == instrument
        and row.value is not None
        and row.tree not in measured_trees
    ]
    # A later gain of a noisy metric is over an earlier one, whatever the values say.
    sign = -1.0 if claims and claims[0].direction == "higher" else 1.0
    keys = [(0.0 if row.rival else sign * (row.value or 0.0), -place) for place, row in enumerate(claims)]
    return [claims[-place] for _, place in sorted(keys)]


def next_id(rows: Sequence[RecordRow], stamp: str) -> str:
    """Create a record id that sorts after all others, even if the clocks of their writers were ahead.

    Args:
        rows: the ledger, sorted.
        stamp: UTC time as 'YYYY-MM-DDTHH:MM:SSZ'.
    """
    last = max((row.id[:16] for row in rows), default="")
    if stamp.replace("-", "").replace(":", "") <= last:
        after = datetime.strptime(last, "%Y%m%dT%H%M%SZ") + timedelta(seconds=1)
        stamp = after.strftime("%Y-%m-%dT%H:%M:%SZ")
    return new_id(stamp)


class InstrumentChange(NamedTuple):
    """The first record of another instrument: its id, its plan, and the instruments before and after."""

    record: str
    plan: str
    before: str
    instrument: str


def instrument_changes(rows: Iterable[tuple[str, str, str | None]]) -> list[InstrumentChange]:
    """Find the records at which the instrument of a plan changed.

    Args:
        rows: id, plan and instrument of records, oldest first; None for the instrument of an imported record.
    """
    last: dict[str, str] = {}
    changes = []
    for record, plan, instrument in rows:
        if instrument is None:
            continue
        if last.get(plan, instrument) != instrument:
            changes.append(InstrumentChange(record, plan, last[plan], instrument))
        last[plan] = instrument
    return changes


def find_named(rows: Sequence[RecordRow], name: str) -> list[RecordRow]:
    """Find records by id, or by a prefix of the id or of its random part."""
    exact = [row for row in rows if row.id == name]
    return exact or [row for row in rows if row.id.startswith(name) or row.id[17:].startswith(name)]
