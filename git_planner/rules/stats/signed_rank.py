"""The exact paired sign-flip permutation test on ranks, its effect size and confidence interval. Pure.

This is Wilcoxon's signed-rank test in its permutation form: given the sizes of the differences, every pattern
of signs is equally likely if nothing has changed, and the distribution of the sum of the positive ranks is
counted exactly, for any number of differences and with ties. Ranks limit the influence of a single disturbed
run.

Sources: F. Wilcoxon, 'Individual comparisons by ranking methods', Biometrics Bulletin 1 (1945); J. W. Pratt,
'Remarks on zeros and ties', JASA 54 (1959); J. L. Hodges and E. L. Lehmann, 'Estimates of location based on
rank tests', Annals of Mathematical Statistics 34 (1963).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from git_planner.rules.stats.summary import median

# Values are summed in steps of this part of the largest.
_STEPS = 100


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval in the unit of the differences; None is an end that too few leave open."""

    low: float | None
    high: float | None
    confidence: float


def p_value(gains: Sequence[float]) -> float:
    """Return the one-sided p-value of gains: the probability of a rank sum as large under random signs.

    Exact for every number of gains. Gains of zero keep their rank but count for neither side (Pratt), so they
    weaken the evidence; without gains the result is 1.

    Args:
        gains: paired differences in one unit, positive where the candidate is better.

    Returns:
        A probability in (0, 1], never smaller than 2 ** -(number of gains that are not zero).
    """
    weights = _double_ranks([abs(gain) for gain in gains])
    signed = [(weight, gain) for weight, gain in zip(weights, gains, strict=True) if gain]
    if not signed:
        return 1.0
    reached = sum(weight for weight, gain in signed if gain > 0)
    tails = _tails(tuple(sorted(weight for weight, _ in signed)))
    return tails[reached] / (1 << len(signed))


def sum_p_value(gains: Sequence[float]) -> float:
    """Return the one-sided p-value of the sum of gains, not of their ranks, under random signs.

    Gains of unequal weight keep it, and a single large one counts as much as it is large. The sums are
    counted exactly, in hundredths of the largest gain.
    """
    largest = max(map(abs, gains), default=0.0)
    if not largest:
        return 1.0
    weights = [round(abs(gain) / largest * _STEPS) for gain in gains]
    reached = sum(weight for weight, gain in zip(weights, gains, strict=True) if gain > 0)
    return _tails(tuple(sorted(weights)))[reached] / (1 << len(weights))


def min_gains(alpha: float) -> int:
    """Return the smallest number of gains with which `p_value` can reach alpha."""
    return max(1, math.ceil(-math.log2(alpha)))


def effect(gains: Sequence[float]) -> float:
    """Return the Hodges-Lehmann estimate: the median of all averages of two gains, each also with itself.

    Raises:
        ValueError: there are no gains.
    """
    return median(_walsh_averages(gains))


def confidence_interval(gains: Sequence[float], confidence: float) -> Interval:
    """Return the interval of effects that the two-sided test does not reject, by its exact inversion.

    With tied gains it is conservative.

    Args:
        gains: paired differences in one unit.
        confidence: the probability that the interval holds the true effect, such as 0.95.
    """
    count = len(gains)
    tails = _tails(tuple(range(2, 2 * count + 1, 2)))
    allowed = (1.0 - confidence) / 2 * (1 << count)
    averages = sorted(_walsh_averages(gains))
    # `place`: number of averages outside on each side; P(W <= place) equals P(W >= all - place).
    place = -1
    while place + 1 < len(averages) and tails[2 * (len(averages) - place - 1)] <= allowed:
        place += 1
    if place < 0:
        return Interval(None, None, confidence)
    return Interval(averages[place], averages[-1 - place], confidence)


def _walsh_averages(gains: Sequence[float]) -> list[float]:
    return [first / 2 + second / 2 for place, first in enumerate(gains) for second in gains[: place + 1]]


def _double_ranks(sizes: Sequence[float]) -> list[int]:
    """Return twice the ranks from 1, averaged for equal sizes, so that they are integers."""
    ordered = sorted(sizes)
    first: dict[float, int] = {}
    last: dict[float, int] = {}
    for rank, size in enumerate(ordered, start=1):
        first.setdefault(size, rank)
        last[size] = rank
    return [first[size] + last[size] for size in sizes]


@lru_cache(maxsize=512)
def _tails(weights: tuple[int, ...]) -> tuple[int, ...]:
    """Return the number of sign patterns with at least each sum, from 0 to the sum of all weights."""
    counts = [1]
    for weight in weights:
        counts += [0] * weight
        for place in range(len(counts) - 1, weight - 1, -1):
            counts[place] += counts[place - weight]
    below = 0
    for place in range(len(counts) - 1, -1, -1):
        below += counts[place]
        counts[place] = below
    return tuple(counts)
