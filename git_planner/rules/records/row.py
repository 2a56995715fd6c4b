"""Ledger rows: the short form of records, for lists and lookups among thousands of them. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, get_args

from git_planner.rules.refnames import new_id
from git_planner.rules.timestamps import add_seconds

Verdict = Literal["baseline", "improved", "within_noise", "worse", "invalid", "unmeasured", "disputed"]
# Verdicts of records that are no measurement, or one that is contradicted.
NOT_VALID = ("invalid", "unmeasured", "disputed")
MAX_TEXT = 20_000
# Reason codes of invalid and unmeasured records.
REASONS = {
    "guard": "guarded paths changed",
    "scope": "paths outside the scope changed",
    "unfit": "files that cannot be committed were left",
    "incorrect": "tests failed",
    "no_proof": "no proof that the tests ran",
    "tests_shrank": "fewer tests were collected than before",
    "ambiguous_metric": "the metric was printed with different values",
    "no_metric": "the metric was not printed",
    "implausible": "the metric has a value that is not possible",
    "unsteady_metric": "a deterministic metric changed between repeats",
    "commit_refused": "a commit hook refused the change",
    "no_change": "the implementer changed nothing",
    "implementer_failed": "the implementer failed",
    "crash": "the benchmark crashed",
    "timeout": "the time allowed for a command ran out",
    "missing_tool": "a program or module that the policy names is not installed",
    "working_tree": "an editable installation lets the working tree be measured",
    "unprepared": "a step of the policy, with the base's inputs, made nothing to measure with",
    "prepare_failed": "a step of the policy failed with the inputs of the change",
    "build_failed": "the build failed",
    "no_jail": "the policy asks for a jail, and there is none",
    "no_baseline": "the base could not be measured, so there is nothing to compare with",
    "red_base": "the base is red",
    "submodule": "a guarded path is a submodule, which is not measured",
    "abandoned": "a person gave the attempt up",
    "disputed": "a later measurement or a person contradicts it",
}
_RECORD_KINDS = ("baseline", "attempt", "imported")
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[a-z0-9]{8,40}")
_IDS = re.compile(rf"(?:{_ID.pattern}+\n)*+")
_ID_TIME = "%Y%m%dT%H%M%SZ"
_YEAR = 366 * 24 * 3600.0
# Larger numbers of tokens or seconds are no cost that one attempt can have.
_MOST_SPENT = 1e12


class RecordRow(NamedTuple):
    """The short form of a record: plain values only, so that ten thousand rows are read quickly.

    `metric`, `unit`, `direction`, `value` and `spread` are of the deciding metric; `tests` is the digest of
    the test ids' document, `number` the comparison's place in its campaign, `blob` the object id of the
    record's file, `lead_ins` False if its rounds had none, as in older records; other fields as in Record.
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
    lead_ins: bool = True
    family: str = ""
    tokens: int = 0
    seconds: float = 0.0

    @property
    def valid(self) -> bool:
        """True if the result is a measurement that nothing contradicts."""
        return self.verdict not in NOT_VALID


_TEXT, _NUMBER, _LISTS = (str,), (int, float), ("strategy", "change_summary", "files", "violations", "notes")
_OPTIONAL = (str, type(None))
# A ledger may come from anywhere: what later code relies on is checked when a record is read.
_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("id", "plan", "commit", "tree", "base", "hypothesis", "summary", "created_at"), _TEXT),
    **dict.fromkeys(("reason", "branch", "slug", "instrument", "environment_digest", "directive"), _OPTIONAL),
    **dict.fromkeys(_LISTS, (list,)),
    **dict.fromkeys(("best_before", "delta", "threshold"), (*_NUMBER, type(None))),
    "iteration": (int, type(None)),
    **dict.fromkeys(("comparison", "tests"), (dict, type(None))),
    "threshold_met": (bool,),
    **dict.fromkeys(("usage", "seconds", "agents", "environment"), (dict,)),
}


def check_record(document: Mapping[str, Any]) -> None:
    """Check that the values of a record have the types that later code relies on.

    Raises:
        KeyError, TypeError, OverflowError: the document is not that of a record.
    """
    for name, types in _TYPES.items():
        if name in document and not isinstance(document[name], types):
            raise TypeError(f"'{name}' is {type(document[name]).__name__}")
    if not all(isinstance(text, str) for name in _LISTS for text in document.get(name, ())):
        raise TypeError("a list holds no texts")
    for name, choices in (("kind", _RECORD_KINDS), ("verdict", get_args(Verdict))):
        if document[name] not in choices:
            raise TypeError(f"'{name}' is {str(document[name])[:40]!r}")
    for metric in document["metrics"]:
        if metric["better"] not in ("lower", "higher") or not isinstance(metric["name"], str):
            raise TypeError("'metrics' names no metric")
        numbers = [metric["median"], metric["spread"], *metric["samples"]]
        if not all(isinstance(number, _NUMBER) and math.isfinite(number) for number in numbers):
            raise TypeError("'metrics' holds no numbers")


class RecordIds:
    """Check of the ids of records: later ones than a clock that is ahead would write are none.

    Args:
        now: the time as 'YYYY-MM-DDTHH:MM:SSZ'.
    """

    def __init__(self, now: str) -> None:
        self._now = compact_time(now)
        self._latest = compact_time(add_seconds(now, _YEAR))

    def allow_all(self, record_ids: Sequence[str]) -> bool:
        """Return True if all texts, which are sorted, surely are ids; thousands are checked at once."""
        last = record_ids[-1][:16] if record_ids else ""
        text = "\n".join((*record_ids, ""))
        is_one_per_line = text.count("\n") == len(record_ids)
        return is_one_per_line and last <= self._now and _IDS.fullmatch(text) is not None

    def allow(self, record_id: str) -> bool:
        """Return whether a text is the id of a record."""
        if not _ID.fullmatch(record_id) or record_id[:16] > self._latest:
            return False
        try:
            return record_id[:16] <= self._now or bool(datetime.strptime(record_id[:16], _ID_TIME))
        except ValueError:
            return False


def compact_time(stamp: str) -> str:
    """Return a timestamp as ids begin with it."""
    return stamp.replace("-", "").replace(":", "")


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
            "lead_ins": not any(len(str(order)) == 4 for order in comparison.get("orders", ())),
            "family": next(iter(document.get("strategy", ())), ""),
            "tokens": int(_total(document.get("usage", {}))),
            "seconds": float(_total(document.get("seconds", {}))),
        }
    )


def _total(values: Mapping[str, Any]) -> float:
    """Return the sum of the sensible numbers of a mapping that may come from anywhere."""
    return sum(
        value for value in values.values() if isinstance(value, (int, float)) and 0 <= value <= _MOST_SPENT
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


def next_id(rows: Sequence[RecordRow], stamp: str) -> str:
    """Create a record id that sorts after all others, even if the clocks of their writers were ahead.

    Args:
        rows: the ledger, sorted.
        stamp: UTC time as 'YYYY-MM-DDTHH:MM:SSZ'.
    """
    last = max((row.id[:16] for row in rows), default="")
    if compact_time(stamp) <= last:
        after = datetime.strptime(last, _ID_TIME) + timedelta(seconds=1)
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
