"""After-effects: whether a gain stands once the effects of runs on later runs are removed. Pure.

A program can disturb the runs after it: it leaves a warm machine, dirty pages, a full disk queue. In a round,
base and candidate follow each of the two trees equally often (paired_design.py), so a constant effect on the
next run cancels out. One that lasts longer does not, and is estimated here from all runs of a comparison by
least squares:

    value = level of its round + gain * candidate + next * candidate before + fading * candidates earlier

where a candidate's run counts 1 for the next run, FADING for the one after that, and so on. Together these
two describe any effect on the next run alone, and nearly any that fades by a third from run to run. The gain
is tested twice. First by Student's t, with large residuals limited (P. J. Huber, 'Robust Statistics', 1981);
in noise that comes back, in waves, the deviation that it takes for granted is not that of the gain. So also
by the signs of the rounds: each round's share in the estimate, without after-effects, changes its sign with
the coin (J. Hemerik, J. Goeman and L. Finos, 'Robust testing in generalized linear models by sign-flipping
score contributions', JRSS B 82, 2020). Both are approximations, unlike the sign-flip test of the gains
themselves: they are only asked in addition, and can only prevent a keep.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from operator import mul, sub
from typing import Literal, NamedTuple

from git_planner.rules.stats import signed_rank
from git_planner.rules.stats.summary import median

# The share of an after-effect that remains from run to run.
FADING = 0.7
# Residuals are limited to three deviations (by their median), so that one disturbed run hides no gain.
_LIMIT = 3 * 1.4826
# Each pass estimates the deviation anew; a single run that is far off takes six.
_PASSES = 10
# Squared length below which a column depends on the others.
_DEPENDENT = 1e-6


class GainTests(NamedTuple):
    """The one-sided p-values of a gain without after-effects; both are 1 if it has no estimate."""

    by_deviation: float = 1.0
    by_signs: float = 1.0


def p_value(
    rounds: Sequence[tuple[str, Sequence[float]]], better: Literal["lower", "higher"] = "lower"
) -> float:
    """Return the one-sided p-value of the candidate's gain without after-effects: the larger of the two."""
    return max(gain_tests(rounds, better))


def gain_tests(
    rounds: Sequence[tuple[str, Sequence[float]]],
    better: Literal["lower", "higher"] = "lower",
    *,
    limit: float = _LIMIT,
) -> GainTests:
    """Test the candidate's gain without after-effects.

    Args:
        rounds: the order of each round, A for the base and B for the candidate, and its values in that order.
        better: the direction of improvement.
        limit: the largest residual, in medians of all residuals.
    """
    sizes = [len(order) for order, _ in rounds]
    candidate, before, earlier = _columns("".join(order for order, _ in rounds))
    basis = _orthonormal(_centred(column, sizes) for column in (before, earlier, candidate))
    largest = max((abs(value) for _, row in rounds for value in row), default=0.0) or 1.0
    values = _centred([value / largest for _, row in rounds for value in row], sizes)
    freedom = len(values) - len(sizes) - len(basis)
    if len(basis) < 3 or freedom < 1:
        return GainTests()
    fitted, residuals = _limited_fit(values, basis, sizes, limit)
    sign = -1 if better == "lower" else 1
    gain = sign * _dot(fitted, basis[-1])
    off = math.sqrt(_dot(residuals, residuals) / freedom)
    if not off:
        return GainTests(0.0, 0.0) if gain > 0 else GainTests()
    # What the gain and chance alone explain, as if there were no after-effects.
    rest = [residual + sign * gain * column for residual, column in zip(residuals, basis[-1], strict=True)]
    shares = [sign * share for share in _sums(list(map(mul, rest, basis[-1])), sizes)]
    return GainTests(student_tail(gain / off, freedom), signed_rank.sum_p_value(shares))


def student_tail(t: float, freedom: int) -> float:
    """Return the probability that Student's t with so many degrees of freedom is at least t."""
    angle = math.atan(t / math.sqrt(freedom))
    square, odd = math.cos(angle) ** 2, freedom % 2
    term = total = 1.0
    for place in range(2 + odd, freedom - 1, 2):
        term *= square * (place - 1) / place
        total += term
    if not odd:
        inside = math.sin(angle) * total
    else:
        series = math.sin(angle) * math.cos(angle) * total if freedom > 1 else 0.0
        inside = 2 / math.pi * (angle + series)
    return max(0.0, (1 - inside) / 2)


def _columns(letters: str) -> tuple[list[float], list[float], list[float]]:
    """Return for each run whether it is the candidate's, whether the one before is, and the fading sum."""
    candidate = [float(letter == "B") for letter in letters]
    before, earlier = [0.0], [0.0]
    for run in candidate[:-1]:
        before.append(run)
        earlier.append(FADING * earlier[-1] + run)
    return candidate, before, earlier


def _centred(values: Sequence[float], sizes: Sequence[int]) -> list[float]:
    """Return the distances of values from the mean of their round."""
    centred: list[float] = []
    for size in sizes:
        part = values[len(centred) : len(centred) + size]
        mean = sum(part) / size
        centred += [value - mean for value in part]
    return centred


def _sums(values: Sequence[float], sizes: Sequence[int]) -> list[float]:
    """Return the sum of each round's values."""
    ends = list(itertools.accumulate(sizes))
    return [math.fsum(values[end - size : end]) for end, size in zip(ends, sizes, strict=True)]


def _orthonormal(columns: Iterable[Sequence[float]]) -> list[list[float]]:
    """Return orthonormal columns that span the same space, without those that depend on earlier ones."""
    basis: list[list[float]] = []
    for column in columns:
        rest = [value - part for value, part in zip(column, _fit(column, basis), strict=True)]
        length = _dot(rest, rest)
        if length > _DEPENDENT:
            basis.append([value / math.sqrt(length) for value in rest])
    return basis


def _fit(values: Sequence[float], basis: Sequence[Sequence[float]]) -> list[float]:
    """Return the part of values that orthonormal columns explain."""
    fitted = [0.0] * len(values)
    for column in basis:
        share = _dot(values, column)
        fitted = [own + share * value for own, value in zip(fitted, column, strict=True)]
    return fitted


def _limited_fit(
    values: list[float], basis: Sequence[Sequence[float]], sizes: Sequence[int], limit: float
) -> tuple[list[float], list[float]]:
    """Return what orthonormal columns explain of values, and the residuals, after large ones were limited."""
    limited, fitted = values, _fit(values, basis)
    for _ in range(_PASSES):
        off = list(map(sub, values, fitted))
        most = limit * median(list(map(abs, off)))
        if not most or max(map(abs, off)) <= most:
            break
        limited = [own + max(-most, min(most, far)) for own, far in zip(fitted, off, strict=True)]
        limited = _centred(limited, sizes)
        last, fitted = fitted, _fit(limited, basis)
        if max(map(abs, map(sub, last, fitted))) <= most / 100:
            break
    return fitted, list(map(sub, limited, fitted))


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(map(mul, one, other))
