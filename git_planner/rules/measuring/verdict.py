"""Decide about one candidate: improved, within noise, worse, or refused. Pure.

A deterministic metric is decided by comparing two numbers; its repeats must agree exactly. A noisy metric is
decided only by interleaved pairs with the best (stats/paired_design.py, records/recorded_comparison.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from git_planner.rules.policy.policy import Metric
from git_planner.rules.printable import printable
from git_planner.rules.records.ranking import is_better
from git_planner.rules.records.record import MeasuredMetric
from git_planner.rules.records.row import REASONS, RecordRow, Verdict
from git_planner.rules.refnames import number_text
from git_planner.rules.stats.summary import median, spread

if TYPE_CHECKING:
    from git_planner.rules.records.recorded_comparison import RecordedComparison

_MAX_SENTENCE = 4_000
UNMEASURED = (
    "crash",
    "timeout",
    "missing_tool",
    "no_jail",
    "unprepared",
    "working_tree",
    "submodule",
    "implementer_failed",
    "no_baseline",
    "red_base",
    "abandoned",
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The refusal of a candidate: a key of record.REASONS and one sentence."""

    reason: str
    sentence: str

    def __post_init__(self) -> None:
        # Sentences quote what a candidate printed: any character, any length.
        sentence = printable(self.sentence)
        if len(sentence) > _MAX_SENTENCE:
            sentence = f"{sentence[:_MAX_SENTENCE]}…"
        object.__setattr__(self, "sentence", sentence)

    @property
    def verdict(self) -> Literal["invalid", "unmeasured"]:
        """'unmeasured' if the candidate could not be measured, 'invalid' if it was refused."""
        return "unmeasured" if self.reason in UNMEASURED else "invalid"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its grounds. `delta` is candidate minus previous best, in the metric's unit."""

    verdict: Verdict
    reason: str | None
    best_before: float | None
    delta: float | None
    summary: str


def summarise_samples(metric: Metric, samples: Sequence[float]) -> MeasuredMetric | Refusal:
    """Summarise samples by median and spread; refuse none, and unequal ones of a deterministic metric."""
    if not samples:
        return Refusal("no_metric", f"'{metric.name}' has no samples")
    if metric.kind == "deterministic" and len(set(samples)) > 1:
        values = ", ".join(number_text(sample) for sample in samples[:5])
        return Refusal("unsteady_metric", f"'{metric.name}' changed between repeats: {values}")
    # The mean of two decimals may have digits beyond the measured precision.
    middle, off = (float(f"{value:.12g}") for value in (median(samples), spread(samples)))
    return MeasuredMetric(metric.name, metric.unit, metric.better, tuple(samples), middle, off)


def decide(metric: Metric, candidate: MeasuredMetric, rival: MeasuredMetric | None) -> Decision:
    """Compare a candidate with the best so far, measured by the same instrument, by a deterministic metric.

    Args:
        metric: the deciding metric of the policy; a noisy one only if there is no rival.
        candidate: the new measurement.
        rival: the previous best; None if there is no valid result yet, which makes the candidate the best.
    """
    if rival is None:
        return Decision("improved", None, None, None, f"{measured_text(candidate)}, the first valid result")
    delta = candidate.median - rival.median
    if delta == 0:
        verdict: Verdict = "within_noise"
    else:
        verdict = "improved" if is_better(candidate.median, rival.median, metric.better) else "worse"
    sign = "+" if delta > 0 else ""
    summary = f"{measured_text(candidate)} ({sign}{number_text(delta)} against {number_text(rival.median)})"
    return Decision(verdict, None, rival.median, delta, summary)


def decide_noisy(
    metric: Metric,
    candidate: MeasuredMetric,
    comparison: RecordedComparison | None,
    top: RecordRow,
    *,
    same: bool,
) -> Decision:
    """Compare a candidate with the best so far by a noisy metric.

    Args:
        metric: the deciding metric of the policy.
        candidate: the new measurement.
        comparison: the comparison by pairs, if there was one.
        top: the current best record of the ledger.
        same: the candidate has the tree of the best.
    """
    before = top.value
    if same:
        return Decision(
            "within_noise", None, before, None, f"{measured_text(candidate)}, the same tree as the best's"
        )
    if comparison is None or comparison.rival != top.id:
        why = f"not compared with the best, which '{top.id}' is since then; --force compares"
        return Decision("within_noise", None, before, None, f"{measured_text(candidate)}, {why}")
    from git_planner.rules.records.recorded_comparison import comparison_verdict, describe_comparison

    summary = f"{measured_text(candidate)}, {describe_comparison(comparison, metric)}"
    return Decision(
        comparison_verdict(comparison, metric), None, comparison.base_median, comparison.effect, summary
    )


def measured_text(measured: MeasuredMetric) -> str:
    """Return a result in words, such as 'cycles 1363' or 'wall 12.5 ms'."""
    unit = "" if measured.unit == measured.name else measured.unit
    return f"{measured.name} {number_text(measured.median)} {unit}".strip()


def refused_decision(refusal: Refusal, best_before: float | None) -> Decision:
    """Return the decision about a refused candidate."""
    return Decision(
        refusal.verdict, refusal.reason, best_before, None, f"{REASONS[refusal.reason]}: {refusal.sentence}"
    )


def is_reached(value: float, threshold: float | None, direction: Literal["lower", "higher"]) -> bool:
    """Return whether a value is at or beyond a threshold; False without one."""
    return threshold is not None and not is_better(threshold, value, direction)
