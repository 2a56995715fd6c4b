"""Comparisons summed up: effect, interval, verdict and words; and which records of them lead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from git_planner import documents
from git_planner.rules.measuring.verdict import Decision, decide_noisy
from git_planner.rules.policy.policy import Metric
from git_planner.rules.records import row
from git_planner.rules.records.ranking import pick_best
from git_planner.rules.records.record import MeasuredMetric, Record, record_from
from git_planner.rules.records.recorded_comparison import (
    RecordedComparison,
    comparison_verdict,
    describe_comparison,
    summarize_comparison,
)
from git_planner.rules.stats import paired_design
from git_planner.rules.stats.paired_design import Round
from git_planner.rules.stats.pairs import Pairs
from tests.support import samples

WALL = Metric("wall", ("true",), r"(\d+)", None, "ms", "lower", "noisy", 1, 60)
SCORE = WALL._replace(name="score", unit="points", better="higher")
TOP = "20261121T000000Z-aaaaaaaa"
NUMBERS = Pairs(min=4, max=24, alpha=0.5)


def rounds(*gains: float) -> list[Round]:
    """Rounds in which a base of about 100 is this much above the candidate."""
    return [
        Round("AABBA", (101, 100 + place, 100 + place - gain, 102 - gain, 102))
        for place, gain in enumerate(gains)
    ]


def compared(*gains: float, metric: Metric = WALL, numbers: Pairs = NUMBERS) -> RecordedComparison:
    """A comparison that went on as long as there were rounds."""
    plan, all_ = paired_design.plan_comparison(numbers, 1), rounds(*gains)
    standing = paired_design.evaluate_rounds(plan, all_, metric.better)
    if standing.ending is None:
        standing = replace(standing, ending="budget")
    return summarize_comparison(metric, TOP, plan, all_, standing)


def record(identity: str, verdict: str, value: float, comparison: RecordedComparison | None = None) -> Record:
    """A record of a plan."""
    metrics = (MeasuredMetric("wall", "ms", "lower", (value,), value, 0.0),)
    kind = "attempt" if comparison else "baseline"
    fields = {"id": identity, "verdict": verdict, "metrics": metrics, "kind": kind, "comparison": comparison}
    return samples.RECORD.with_(**fields)


def test_a_gain_is_summed_up() -> None:
    comparison = compared(5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0)
    assert (comparison.ending, comparison.rival, comparison.number, comparison.runs) == (
        "improved",
        TOP,
        1,
        35,
    )
    assert (comparison.p, comparison.effect, comparison.low, comparison.high) == (2.0**-7, -8.0, -10.0, -6.0)
    assert comparison.level is not None
    assert comparison.p <= comparison.level <= comparison.alpha
    assert (comparison.base[:2], comparison.candidate[:2]) == ((100, 102), (95, 97))
    assert (comparison.orders, comparison.lead_ins) == (("AABBA",) * 7, (101,) * 7)
    assert comparison.adjusted_p is not None
    assert comparison.adjusted_p <= comparison.level
    assert comparison_verdict(comparison, WALL) == "improved"
    assert describe_comparison(comparison, WALL) == "-8 ms (-10 to -6) against 102, p 0.0078, 35 runs"


def test_where_higher_is_better_all_is_turned_round() -> None:
    comparison = compared(-5.0, -6.0, -7.0, -8.0, -9.0, -10.0, -11.0, metric=SCORE)
    assert (comparison.ending, comparison.effect, comparison.low, comparison.high) == (
        "improved",
        8.0,
        6.0,
        10.0,
    )


def test_a_gain_below_the_smallest_one_is_not_kept() -> None:
    comparison = compared(5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0)
    assert comparison_verdict(comparison, WALL._replace(min_gain=8.0)) == "improved"
    asking = WALL._replace(min_gain=8.5)
    assert comparison_verdict(comparison, asking) == "within_noise"
    assert describe_comparison(comparison, asking).endswith("; less than the smallest gain of 8.5")


def test_what_is_clearly_worse_is_worse() -> None:
    separated = compared(-50.0, -51.0, -52.0)
    assert (separated.ending, separated.low, comparison_verdict(separated, WALL)) == ("worse", None, "worse")
    assert describe_comparison(separated, WALL) == "+51 ms against 102, p 1, 15 runs"
    slowly = compared(*[-0.1 - place / 100 for place in range(12)])
    assert (slowly.ending, comparison_verdict(slowly, WALL)) == ("worse", "worse")


def test_after_effects_are_named_where_they_may_be_the_gain() -> None:
    comparison = replace(compared(*[5.0, 6.0, 7.0] * 4), ending="budget", level=None, adjusted_p=0.4)
    assert comparison_verdict(comparison, WALL) == "within_noise"
    assert describe_comparison(comparison, WALL).endswith(
        "; after-effects of earlier runs may explain it (p 0.4 without them)"
    )


def test_neither_is_within_noise() -> None:
    comparison = compared(1.0, -1.5, 1.2, -0.9)
    assert (comparison.ending, comparison_verdict(comparison, WALL)) == ("futile", "within_noise")


def test_the_verdict_stands_only_against_the_best_of_now() -> None:
    comparison = compared(5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0)
    own = MeasuredMetric("wall", "ms", "lower", (94.0,), 94.0, 0.0)
    top = row.row_from(record(TOP, "within_noise", 50.0).document())
    decision = decide_noisy(WALL, own, comparison, top, same=False)
    assert decision == Decision(
        "improved", None, 102, -8.0, f"wall 94 ms, {describe_comparison(comparison, WALL)}"
    )
    other = top._replace(id="20261121T000001Z-bbbbbbbb")
    for case in (
        decide_noisy(WALL, own, comparison, other, same=False),
        decide_noisy(WALL, own, None, top, same=False),
        decide_noisy(WALL, own, None, top, same=True),
    ):
        assert (case.verdict, case.delta) == ("within_noise", None)


def test_the_lead_goes_to_what_improved_on_the_leader_whatever_the_hour() -> None:
    won = compared(5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0)
    first = record(TOP, "within_noise", 50.0)
    second = record("20261121T000001Z-bbbbbbbb", "improved", 94.0, won)
    stale = record("20261121T000002Z-cccccccc", "improved", 10.0, won)
    assert pick_best([first, second, stale]) == second
    assert pick_best(row.row_from(record.document()) for record in (first, second, stale)) == row.row_from(
        second.document()
    )


@pytest.mark.parametrize("gains", [(5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0), (-50.0, -51.0, -52.0)])
def test_a_comparison_survives_its_document(gains: tuple[float, ...]) -> None:
    result = record(TOP, "improved", 94.0, compared(*gains))
    document = result.document()
    assert documents.validate("record", document) == []
    assert record_from(document) == result


def test_a_comparison_in_rounds_of_four_is_still_read() -> None:
    comparison = replace(compared(5.0, 6.0, 7.0), orders=("ABBA", "BAAB", "ABBA"))
    document = record(TOP, "improved", 94.0, comparison).document()
    del document["comparison"]["lead_ins"], document["comparison"]["adjusted_p"]
    assert documents.validate("record", document) == []
    read = record_from(document).comparison
    assert read == replace(comparison, lead_ins=(), adjusted_p=None)
    assert read.runs == 12
