"""The plan of a noisy comparison: runs of base (A) and candidate (B), interleaved in rounds of four. Pure.

A round is ABBA or BAAB, and a fair coin says which. The gain of a round is the mean of its two pairs'
differences: what drifts steadily cancels out within it. And because a coin chose who ran when, the sign of
each round's gain is a fair coin wherever base and candidate behave alike, so the sign-flip test is exact
whatever the noise is: correlated, heavy-tailed, periodic or drifting (R. A. Fisher, 'The Design of
Experiments', 1935: randomisation is the reasoned basis of the test).

Cheap first: what is clearly worse is dropped after the screening, what does not look like a gain soon after
(dropping early never makes a false keep), and only what does is measured up to the looks, where the
comparison's share of the error budget is spent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from git_planner.rules.stats import signed_rank
from git_planner.rules.stats.alpha_spending import LOOKS, alpha_share
from git_planner.rules.stats.pairs import Pairs

Order = Literal["ABBA", "BAAB"]
Ending = Literal["improved", "worse", "futile", "budget"]
# How likely it may be that chance alone sets the runs of base and candidate apart: less than 1 in 200, which
# three rounds can show and two cannot.
_SEPARATION_ALPHA = 0.005


@dataclass(frozen=True, slots=True)
class Look:
    """A point at which a comparison may end in a keep: the number of rounds, and the probability to err."""

    rounds: int
    alpha: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """How one comparison goes. `number` is its place in the campaign, `alpha` its share of the budget."""

    number: int
    alpha: float
    screen: int
    looks: tuple[Look, ...]
    most: int
    futility: float

    @property
    def decidable(self) -> bool:
        """Whether the budget of pairs is large enough for any result to be a keep."""
        return bool(self.looks)


@dataclass(frozen=True, slots=True)
class Round:
    """Four runs in the order they were made, with their values in the metric's unit."""

    order: Order
    values: tuple[float, ...]

    def of(self, letter: Literal["A", "B"]) -> tuple[float, ...]:
        """The values of the base (A) or the candidate (B)."""
        return tuple(value for own, value in zip(self.order, self.values, strict=True) if own == letter)

    def gain(self, better: Literal["lower", "higher"]) -> float:
        """How much better the candidate was, in the metric's unit."""
        base, candidate = math.fsum(self.of("A")) / 2, math.fsum(self.of("B")) / 2
        return base - candidate if better == "lower" else candidate - base


@dataclass(frozen=True, slots=True)
class ComparisonState:
    """Where a comparison stands. `ending` is None while more rounds are needed.

    `p` is the one-sided probability of such gains by chance (1 before the screening is over), `look` the one
    that decided.
    """

    ending: Ending | None
    p: float
    look: Look | None = None


def plan_comparison(pairs: Pairs, number: int) -> Schedule:
    """Plan one comparison.

    Args:
        pairs: the policy's numbers, in pairs; a round has two.
        number: which comparison of the campaign it is, from 1.
    """
    alpha, most = alpha_share(number, pairs.alpha, pairs.horizon), pairs.max // 2
    first = max(math.ceil(pairs.min / 2), signed_rank.min_gains(alpha * LOOKS[0]))
    if first < most:
        # The later looks lie evenly between the first and the last; a look must be able to succeed.
        places = [first + math.ceil((most - first) * step / (len(LOOKS) - 1)) for step in range(len(LOOKS))]
        # Places that fall together leave some of the share unspent.
        spent = dict(zip(reversed(places), reversed(LOOKS), strict=True))
        looks = [Look(rounds, alpha * spent[rounds]) for rounds in sorted(spent)]
    else:
        looks = [Look(most, alpha)]
    able = tuple(look for look in looks if signed_rank.min_gains(look.alpha) <= look.rounds)
    return Schedule(number, alpha, math.ceil(pairs.screen / 2), able, most, pairs.futility)


def round_order(*, coin: bool) -> Order:
    """The order of a round."""
    return "ABBA" if coin else "BAAB"


def evaluate_rounds(
    plan: Schedule, rounds: Sequence[Round], better: Literal["lower", "higher"]
) -> ComparisonState:
    """Say whether a comparison is over, after each round, and how it ended.

    Args:
        plan: made before the first round.
        rounds: all rounds so far, in order.
        better: which direction is an improvement.
    """
    done = len(rounds)
    if done < plan.screen:
        return ComparisonState("budget" if done >= plan.most else None, 1.0)
    p = signed_rank.p_value([round_.gain(better) for round_ in rounds])
    for look in plan.looks:
        if look.rounds == done and p <= look.alpha:
            return ComparisonState("improved", p, look)
    if _is_separated(rounds, better):
        return ComparisonState("worse", p)
    if done >= 2 * plan.screen and p > plan.futility:
        return ComparisonState("futile", p)
    return ComparisonState("budget" if done >= plan.most else None, p)


def _is_separated(rounds: Sequence[Round], better: Literal["lower", "higher"]) -> bool:
    """Whether even the best run of the candidate is worse than the base's worst, unlikely by chance."""
    base = [value for round_ in rounds for value in round_.of("A")]
    candidate = [value for round_ in rounds for value in round_.of("B")]
    apart = min(candidate) > max(base) if better == "lower" else max(candidate) < min(base)
    return apart and 1 / math.comb(2 * len(base), len(base)) <= _SEPARATION_ALPHA
