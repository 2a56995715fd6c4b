"""The exact test against brute force and scipy: p values, effect and interval."""

from __future__ import annotations

import itertools
import math
import random

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from git_planner.rules.stats import signed_rank, summary

FEW = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=9)


def by_hand(gains: list[float]) -> float:
    """Yield every pattern of signs."""
    ranks = stats.rankdata([abs(gain) for gain in gains])
    own = sum(rank for rank, gain in zip(ranks, gains, strict=True) if gain > 0)
    signed = [rank for rank, gain in zip(ranks, gains, strict=True) if gain]
    patterns = list(itertools.product((0, 1), repeat=len(signed)))
    hits = sum(sum(r for r, s in zip(signed, signs, strict=True) if s) >= own for signs in patterns)
    return hits / len(patterns)


def distinct(count: int, seed: int, shift: float = 0.0) -> list[float]:
    """Return gains without ties."""
    rng = random.Random(seed)
    return [rng.gauss(shift, 1) for _ in range(count)]


@given(FEW)
def test_p_is_the_share_of_sign_patterns_that_reach_as_far(gains: list[float]) -> None:
    assert signed_rank.p_value(gains) == by_hand(gains)


@pytest.mark.parametrize("count", [1, 2, 5, 12, 24, 50])
def test_p_is_scipys(count: int) -> None:
    for seed in range(5):
        gains = distinct(count, seed, 0.3)
        expected = stats.wilcoxon(gains, alternative="greater", method="exact").pvalue
        assert signed_rank.p_value(gains) == pytest.approx(expected, rel=1e-9)


def test_p_is_scipys_permutation_test_with_ties_and_zeros() -> None:
    gains = [3.0, -1.0, 0.0, 2.0, 2.0, -2.0, 5.0, 1.0, 0.0, 4.0]
    ranks = stats.rankdata([abs(gain) for gain in gains])

    def ranked(values: list[float]) -> float:
        return sum(rank for rank, value in zip(ranks, values, strict=True) if value > 0)

    expected = stats.permutation_test(
        (gains,), ranked, permutation_type="samples", n_resamples=math.inf, alternative="greater"
    )
    assert signed_rank.p_value(gains) == pytest.approx(expected.pvalue, rel=1e-12)


def test_few_gains_cannot_prove_much() -> None:
    assert signed_rank.p_value([]) == 1.0
    assert signed_rank.p_value([0.0, 0.0]) == 1.0
    for count in range(1, 30):
        assert signed_rank.p_value([1.0] * count) == 2.0**-count
        assert signed_rank.min_gains(2.0**-count) == count
        assert signed_rank.min_gains(2.0**-count * 0.99) == count + 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12))
def test_p_is_a_probability(gains: list[float]) -> None:
    assert 2.0 ** -len(gains) <= signed_rank.p_value(gains) <= 1


@given(st.integers(1, 20), st.integers(0, 10**6), st.floats(0, 3))
def test_more_gain_never_raises_p(count: int, seed: int, more: float) -> None:
    gains = distinct(count, seed)
    assert signed_rank.p_value([gain + more for gain in gains]) <= signed_rank.p_value(gains)


def test_p_is_uniform_or_smaller_when_nothing_changed() -> None:
    ps = [signed_rank.p_value(distinct(10, seed)) for seed in range(2000)]
    for level in (0.01, 0.05, 0.25, 0.5):
        share = sum(p <= level for p in ps) / len(ps)
        assert share <= level + 3 * math.sqrt(level * (1 - level) / len(ps))


@given(FEW)
def test_the_effect_is_the_median_of_the_averages(gains: list[float]) -> None:
    averages = sorted((a + b) / 2 for i, a in enumerate(gains) for b in gains[i:])
    half = len(averages) // 2
    middle = averages[half] if len(averages) % 2 else (averages[half - 1] + averages[half]) / 2
    assert signed_rank.effect(gains) == middle


@pytest.mark.parametrize("count", [6, 9, 16, 40])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_is_what_the_test_does_not_reject(count: int, confidence: float) -> None:
    gains = distinct(count, count, 1.0)
    interval = signed_rank.confidence_interval(gains, confidence)
    assert interval.low is not None
    assert interval.high is not None
    half, bit = (1 - confidence) / 2, 1e-9

    def p(shift: float, way: str) -> float:
        moved = [gain - shift for gain in gains]
        return float(stats.wilcoxon(moved, alternative=way, method="exact").pvalue)

    assert p(interval.low - bit, "greater") <= half < p(interval.low + bit, "greater")
    assert p(interval.high + bit, "less") <= half < p(interval.high - bit, "less")
    assert interval.low < signed_rank.effect(gains) < interval.high


def test_an_interval_of_too_few_gains_is_open() -> None:
    assert signed_rank.confidence_interval([1.0, 2.0, 3.0], 0.95) == signed_rank.Interval(None, None, 0.95)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for seed in range(1000):
        interval = signed_rank.confidence_interval(distinct(12, seed, 3.0), 0.9)
        assert interval.low is not None
        assert interval.high is not None
        held += interval.low <= 3.0 <= interval.high
    assert held >= 880


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_the_deviation_is_numpy_s(samples: list[float]) -> None:
    assert summary.deviation(samples) == pytest.approx(numpy.std(samples, ddof=1), rel=1e-9, abs=1e-6)


def test_autocorrelation() -> None:
    assert summary.autocorrelation([5.0]) == summary.autocorrelation([5.0, 5.0, 5.0]) == 0.0
    assert summary.autocorrelation([1.0, -1.0] * 50) == pytest.approx(-0.99)
    rising = [float(number) for number in range(100)]
    assert summary.autocorrelation(rising) == pytest.approx(0.97)
    with pytest.raises(ValueError, match="no deviation"):
        summary.deviation([1.0])
