"""The result of comparing a candidate with the best by interleaved pairs, as stored in a record. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from git_planner.rules.policy.policy import Metric
from git_planner.rules.refnames import number_text
from git_planner.rules.stats import signed_rank
from git_planner.rules.stats.paired_design import ComparisonState, Ending, Order, Round, Schedule
from git_planner.rules.stats.summary import median

CONFIDENCE = 0.95
# Rounds of older records have no lead-in.
RecordedOrder = Order | Literal["ABBA", "BAAB"]


@dataclass(frozen=True, slots=True)
class RecordedComparison:
    """The result of a noisy comparison.

    `rival` is the id of the record whose tree is the base. `number` is the comparison's place in the campaign
    and `alpha` its share of the error budget; `level` is the part of it used by the look that found a gain.
    `orders` are the rounds; `base` and `candidate` their counted samples in the order taken, in the metric's
    unit, and `lead_ins` the uncounted runs before them, which older records do not have. `p` is the one-sided
    p-value, `adjusted_p` the one without after-effects if it was needed. `effect` (candidate minus base, in
    the metric's unit) is the Hodges-Lehmann estimate, `low` and `high` its confidence interval, None where it
    is unbounded.
    """

    rival: str
    number: int
    alpha: float
    level: float | None
    ending: Ending
    orders: tuple[RecordedOrder, ...]
    base: tuple[float, ...]
    candidate: tuple[float, ...]
    p: float
    effect: float
    low: float | None
    high: float | None
    confidence: float
    lead_ins: tuple[float, ...] = ()
    adjusted_p: float | None = None

    @property
    def runs(self) -> int:
        """The number of runs, of base and candidate together."""
        return len(self.base) + len(self.candidate) + len(self.lead_ins)

    @property
    def base_median(self) -> float:
        """The median of the base's samples."""
        return float(f"{median(self.base):.12g}")

    @property
    def worse(self) -> bool:
        """True if the candidate is clearly worse: at the screening, or by its complete interval."""
        return self.ending == "worse"


def summarize_comparison(
    metric: Metric, rival: str, plan: Schedule, rounds: Sequence[Round], standing: ComparisonState
) -> RecordedComparison:
    """Summarize a finished comparison.

    Args:
        metric: the deciding metric.
        rival: id of the record whose tree was the base.
        plan: the schedule.
        rounds: all rounds.
        standing: the final state; its `ending` is not None.
    """
    assert standing.ending is not None
    gains = [pair.gain(metric.better) for pair in rounds]
    sign = -1.0 if metric.better == "lower" else 1.0
    interval = signed_rank.confidence_interval(gains, CONFIDENCE)
    ends = [None if end is None else sign * end for end in (interval.low, interval.high)]
    low, high = ends if sign > 0 else reversed(ends)
    ending: Ending = standing.ending
    if ending != "improved" and interval.high is not None and interval.high < 0:
        ending = "worse"
    return RecordedComparison(
        rival=rival,
        number=plan.number,
        alpha=plan.alpha,
        level=standing.look.alpha if standing.look else None,
        ending=ending,
        orders=tuple(pair.order for pair in rounds),
        base=tuple(value for pair in rounds for value in pair.of("A")),
        candidate=tuple(value for pair in rounds for value in pair.of("B")),
        p=standing.p if len(rounds) >= plan.screen else signed_rank.p_value(gains),
        effect=sign * signed_rank.effect(gains) + 0.0,
        low=low,
        high=high,
        confidence=CONFIDENCE,
        lead_ins=tuple(value for pair in rounds for value in pair.lead_ins),
        adjusted_p=standing.adjusted_p,
    )


def comparison_verdict(
    comparison: RecordedComparison, metric: Metric
) -> Literal["improved", "within_noise", "worse"]:
    """Return the verdict: an improvement must be significant and at least the policy's min_gain."""
    if comparison.worse:
        return "worse"
    if comparison.ending == "improved" and abs(comparison.effect) >= (metric.min_gain or 0.0):
        return "improved"
    return "within_noise"


def describe_comparison(comparison: RecordedComparison, metric: Metric) -> str:
    """Describe the comparison in one line: '-2.1 ms (-2.5 to -1.7) against 20.3, p 0.0005, 36 runs'."""
    unit = f" {metric.unit}" if metric.unit and metric.unit != metric.name else ""
    if comparison.low is None or comparison.high is None:
        span = ""
    else:
        span = f" ({_signed(comparison.low)} to {_signed(comparison.high)})"
    text = (
        f"{_signed(comparison.effect)}{unit}{span} against {number_text(comparison.base_median)}, "
        f"p {comparison.p:.2g}, {comparison.runs} runs"
    )
    if comparison.ending == "improved" and comparison_verdict(comparison, metric) != "improved":
        text += f"; less than the smallest gain of {number_text(metric.min_gain or 0.0)}"
    if comparison.ending == "budget" and comparison.adjusted_p is not None:
        text += f"; after-effects of earlier runs may explain it (p {comparison.adjusted_p:.2g} without them)"
    return text


def _signed(value: float) -> str:
    return f"{value:+.3g}"
