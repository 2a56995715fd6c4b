"""Records: the measured result of one commit, and what follows from a series of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from git_planner.rules.records.comparison import RecordedComparison

Verdict = Literal["baseline", "improved", "within_noise", "worse", "invalid", "unmeasured"]
SCHEMA = "git-planner/record@1"
MAX_TEXT = 20_000
MAX_NOTES = 1_000

# Why a record is invalid or unmeasured; the field's distinct reason codes.
REASONS = {
    "guard": "guarded paths changed",
    "scope": "paths outside the scope changed",
    "incorrect": "tests failed",
    "no_proof": "no proof that the tests ran",
    "tests_shrank": "fewer tests were collected than before",
    "ambiguous_metric": "the metric was printed with different values",
    "no_metric": "the metric was not printed",
    "unsteady_metric": "a deterministic metric changed between repeats",
    "commit_refused": "a commit hook refused the change",
    "no_change": "the implementer changed nothing",
    "implementer_failed": "the implementer failed",
    "crash": "the benchmark crashed",
    "timeout": "the time allowed for a command ran out",
    "missing_tool": "a program that the policy names is not installed",
    "no_jail": "the policy asks for a jail, and there is none",
    "submodule": "a guarded path is a submodule, which is not measured",
}


@dataclass(frozen=True, slots=True)
class MeasuredMetric:
    """One metric's samples in the order they were taken, and their summary."""

    name: str
    unit: str
    better: Literal["lower", "higher"]
    samples: tuple[float, ...]
    median: float
    spread: float


@dataclass(frozen=True, slots=True)
class TestCounts:
    """What the correctness command proved. `ids` is the digest of the document with the test ids."""

    collected: int
    passed: int
    failed: int
    skipped: int
    ids: str


@dataclass(frozen=True, slots=True)
class Record:
    """One measured result, as it stands in experiments/records/<id>.json on the plan's branch.

    `commit`, `tree`, `base` are object ids; `tree` is the tree that was really measured: the candidate with
    the trusted base's guarded paths over it and without our state files (the candidate's own tree when it was
    refused unmeasured). Records are comparable where `instrument` is equal; a cached result serves where
    `environment_digest` is equal too. Times are UTC 'YYYY-MM-DDTHH:MM:SSZ'; `seconds` are durations by step;
    `usage` has token counts by role. `delta` is candidate minus best before, in the metric's unit;
    `comparison` is there when a noisy metric was compared by pairs, and then it says what these two are.
    `instrument_tests` is the digest of the tests that the instrument's baseline collected, with their
    outcomes, which the own ones were held against; it is known only afterwards, and so not in `instrument`.
    """

    id: str
    plan: str
    kind: Literal["baseline", "attempt", "imported"]
    verdict: Verdict
    reason: str | None
    commit: str
    tree: str
    patch_id: str | None
    base: str
    branch: str | None
    iteration: int | None
    slug: str | None
    instrument: str | None
    environment_digest: str | None
    environment: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[MeasuredMetric, ...] = ()
    tests: TestCounts | None = None
    best_before: float | None = None
    delta: float | None = None
    threshold: float | None = None
    threshold_met: bool = False
    cached_from: str | None = None
    directive: str | None = None
    packet: str | None = None
    strategy: tuple[str, ...] = ()
    hypothesis: str = ""
    change_summary: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    violations: tuple[str, ...] = ()
    summary: str = ""
    notes: tuple[str, ...] = ()
    agents: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    created_at: str = ""
    comparison: RecordedComparison | None = None
    instrument_tests: str | None = None

    @property
    def rival(self) -> str | None:
        """The id of the record whose tree it was compared with by pairs; None when there were none."""
        return self.comparison.rival if self.comparison else None

    @property
    def valid(self) -> bool:
        """Whether the result counts as a measurement at all."""
        return self.verdict not in ("invalid", "unmeasured")

    @property
    def value(self) -> float | None:
        """The deciding metric's median; None when nothing was measured."""
        return self.metrics[0].median if self.metrics else None

    @property
    def direction(self) -> Literal["lower", "higher"]:
        """Which values of the deciding metric are better."""
        return self.metrics[0].better if self.metrics else "lower"

    def document(self) -> dict[str, Any]:
        """The record as a JSON document."""
        return {"schema": SCHEMA, **asdict(self)}

    def with_(self, **changes: Any) -> Record:
        """A copy with some fields changed."""
        return replace(self, **changes)


def record_from(document: Mapping[str, Any]) -> Record:
    """Read a record back from a document that has passed its schema (or that we wrote)."""
    fields = {key: value for key, value in document.items() if key != "schema"}
    fields["metrics"] = tuple(
        MeasuredMetric(**{**metric, "samples": tuple(metric["samples"])}) for metric in fields["metrics"]
    )
    if fields.get("comparison"):
        from git_planner.rules.records.comparison import RecordedComparison

        lists = {key: tuple(fields["comparison"][key]) for key in ("orders", "base", "candidate")}
        fields["comparison"] = RecordedComparison(**{**fields["comparison"], **lists})
    fields["tests"] = TestCounts(**fields["tests"]) if fields["tests"] else None
    for name in ("strategy", "change_summary", "files", "violations", "notes"):
        fields[name] = tuple(fields[name])
    return Record(**fields)


def truncate_texts(record: Record) -> Record:
    """A record whose texts are no longer than its schema allows, such as one that quotes a program."""

    def cut(text: str) -> str:
        return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"

    return record.with_(summary=cut(record.summary), notes=tuple(map(cut, record.notes[:MAX_NOTES])))


def is_better(value: float, than: float, direction: Literal["lower", "higher"]) -> bool:
    """Whether a value is strictly better than another."""
    return value < than if direction == "lower" else value > than


class RankedRecord(Protocol):
    """What of a record decides which one is best."""

    @property
    def id(self) -> str:
        """As in Record."""
        ...

    @property
    def rival(self) -> str | None:
        """As in Record."""
        ...

    @property
    def kind(self) -> str:
        """As in Record."""
        ...

    @property
    def verdict(self) -> str:
        """As in Record."""
        ...

    @property
    def instrument(self) -> str | None:
        """As in Record."""
        ...

    @property
    def valid(self) -> bool:
        """As in Record."""
        ...

    @property
    def value(self) -> float | None:
        """As in Record."""
        ...

    @property
    def direction(self) -> Literal["lower", "higher"]:
        """As in Record."""
        ...


RecordT = TypeVar("RecordT", bound=RankedRecord)


def pick_best(records: Iterable[RecordT], *, instrument: str | None = None) -> RecordT | None:
    """The best valid record, the earliest one of equals; only those of one instrument when it is given.

    After the first, only a record that was found to be an improvement (or a baseline) can take the lead, so a
    lucky sample within the noise never becomes the mark that others have to beat. A record of a comparison by
    pairs leads where it improved on the leader, whatever their values, which are of different times.
    """
    found: RecordT | None = None
    for record in records:
        if _leads(record, found, instrument):
            found = record
    return found


def attempts_since_best(records: Iterable[RankedRecord], *, instrument: str | None = None) -> int | None:
    """How many valid attempts came after the best one, in the order given; None without a best."""
    top: RankedRecord | None = None
    since = 0
    for record in records:
        if not _counts(record, instrument):
            continue
        if _leads(record, top, instrument):
            top, since = record, 0
        else:
            since += 1
    return None if top is None else since


def _counts(record: RankedRecord, instrument: str | None) -> bool:
    return record.valid and record.value is not None and instrument in (None, record.instrument)


def _leads(record: RankedRecord, top: RankedRecord | None, instrument: str | None) -> bool:
    if not _counts(record, instrument):
        return False
    if top is None:
        return True
    if record.verdict != "improved" and record.kind != "baseline":
        return False
    if record.rival is not None:
        return record.rival == top.id
    assert record.value is not None
    assert top.value is not None
    return is_better(record.value, top.value, record.direction)
