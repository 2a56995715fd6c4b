"""Records: the measured result of one commit. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from git_planner.rules.records.row import MAX_TEXT, NOT_VALID, Verdict

if TYPE_CHECKING:
    from git_planner.rules.records.recorded_comparison import RecordedComparison

SCHEMA = "git-planner/record@1"
MAX_NOTES = 1_000


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
    """Test counts of the correctness command. `ids` is the digest of the document with the test ids."""

    collected: int
    passed: int
    failed: int
    skipped: int
    ids: str


@dataclass(frozen=True, slots=True)
class Record:
    """One measured result, as stored in experiments/records/<id>.json on the plan's branch.

    `commit`, `tree`, `base` are object ids; `tree` is the tree that was measured: the candidate with the
    guarded paths of the trusted base and without git-planner's state files (the candidate's own tree if it
    was refused unmeasured). Records are comparable where `instrument` is equal; a cached result serves where
    `environment_digest` is equal too. Times are UTC 'YYYY-MM-DDTHH:MM:SSZ'; `seconds` are durations by step;
    `usage` has token counts by role. `delta` is candidate minus best before, in the metric's unit;
    `comparison` is present if a noisy metric was compared by pairs, and then defines these two.
    `instrument_tests` is the digest of the tests of the instrument's baseline, with their outcomes, against
    which the tests were compared; it is known only afterwards, and so not part of `instrument`.
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
        """The id of the record that it was compared with by pairs; None without such a comparison."""
        return self.comparison.rival if self.comparison else None

    @property
    def valid(self) -> bool:
        """True if the result is a measurement that nothing contradicts."""
        return self.verdict not in NOT_VALID

    @property
    def value(self) -> float | None:
        """The deciding metric's median; None if nothing was measured."""
        return self.metrics[0].median if self.metrics else None

    @property
    def direction(self) -> Literal["lower", "higher"]:
        """The better direction of the deciding metric."""
        return self.metrics[0].better if self.metrics else "lower"

    def document(self) -> dict[str, Any]:
        """Return the record as a JSON document."""
        return {"schema": SCHEMA, **asdict(self)}

    def with_(self, **changes: Any) -> Record:
        """Return a copy with some fields changed."""
        return replace(self, **changes)


def record_from(document: Mapping[str, Any]) -> Record:
    """Build a record from a valid document.

    Raises:
        KeyError, TypeError: it is not the document of a record.
    """
    fields = {key: value for key, value in document.items() if key != "schema"}
    fields["metrics"] = tuple(
        MeasuredMetric(**{**metric, "samples": tuple(metric["samples"])}) for metric in fields["metrics"]
    )
    if fields.get("comparison"):
        from git_planner.rules.records.recorded_comparison import RecordedComparison

        keys = ("orders", "base", "candidate", "lead_ins")
        comparison = {**fields["comparison"]}
        lists = {key: tuple(comparison.get(key, ())) for key in keys}
        fields["comparison"] = RecordedComparison(**{**comparison, **lists})
    fields["tests"] = TestCounts(**fields["tests"]) if fields["tests"] else None
    for name in ("strategy", "change_summary", "files", "violations", "notes"):
        fields[name] = tuple(fields[name])
    return Record(**fields)


def truncate_texts(record: Record) -> Record:
    """Truncate the texts of a record, such as quoted output, to the lengths that its schema allows."""

    def cut(text: str) -> str:
        return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"

    return record.with_(summary=cut(record.summary), notes=tuple(map(cut, record.notes[:MAX_NOTES])))
