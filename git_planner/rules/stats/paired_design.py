"""Paired design of a noisy comparison: runs of base (A) and candidate (B) in rounds of four. Pure.

A round is ABBA or BAAB, chosen by a fair coin. The gain of a round is the mean difference of its two pairs,
in which linear drift cancels out. Because of the coin, the sign of each round's gain is random if base and
candidate behave alike, so the sign-flip test is exact for any noise: correlated, heavy-tailed, periodic or
drifting (R. A. Fisher, 'The Design of Experiments', 1935: randomisation is the reasoned basis of the test).

Cheap first: clearly worse candidates are dropped after the screening, futile ones soon after (an early drop
is never a false keep), and only promising ones are measured up to the looks, which spend the comparison's
share of the error budget.
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
# Largest probability that chance alone separates the runs of base and candidate; needs three rounds.
_SEPARATION_ALPHA = 0.005


@dataclass(frozen=True, slots=True)
class Look:
    """A point at which a comparison may end in a keep: the number of rounds and the error probability."""

    rounds: int
    alpha: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """The plan of one comparison. `number` is its place in the campaign, `alpha` its share of the budget."""

    number: int
    alpha: float
    screen: int
    looks: tuple[Look, ...]
    most: int
    futility: float

    @property
    def decidable(self) -> bool:
        """True if the budget of pairs allows a keep at all."""
        return bool(self.looks)


@dataclass(frozen=True, slots=True)
class Round:
    """Four runs in order, with their values in the metric's unit."""

    order: Order
    values: tuple[float, ...]

    def of(self, letter: Literal["A", "B"]) -> tuple[float, ...]:
        """Return the values of the base (A) or the candidate (B)."""
        return tuple(value for own, value in zip(self.order, self.values, strict=True) if own == letter)

    def gain(self, better: Literal["lower", "higher"]) -> float:
        """Return the gain of the candidate, in the metric's unit."""
        base, candidate = math.fsum(self.of("A")) / 2, math.fsum(self.of("B")) / 2
        return base - candidate if better == "lower" else candidate - base


@dataclass(frozen=True, slots=True)
class ComparisonState:
    """The state of a comparison. `ending` is None while more rounds are needed.

    `p` is the one-sided p-value of the gains (1 before the end of the screening), `look` the deciding look.
    """

    ending: Ending | None
    p: float
    look: Look | None = None


def plan_comparison(pairs: Pairs, number: int) -> Schedule:
    """Plan one comparison.

    Args:
        pairs: the policy's parameters, in pairs; a round has two.
        number: the number of the comparison in the campaign, from 1.
    """
    alpha, most = alpha_share(number, pairs.alpha, pairs.horizon), pairs.max // 2
    first = max(math.ceil(pairs.min / 2), signed_rank.min_gains(alpha * LOOKS[0]))
    if first < most:
        # The looks are evenly spaced; only looks that can succeed are kept.
        places = [first + math.ceil((most - first) * step / (len(LOOKS) - 1)) for step in range(len(LOOKS))]
        # Coinciding looks leave a part of the share unspent.
        spent = dict(zip(reversed(places), reversed(LOOKS), strict=True))
        looks = [Look(rounds, alpha * spent[rounds]) for rounds in sorted(spent)]
    else:
        looks = [Look(most, alpha)]
    able = tuple(look for look in looks if signed_rank.min_gains(look.alpha) <= look.rounds)
    return Schedule(number, alpha, math.ceil(pairs.screen / 2), able, most, pairs.futility)


def round_order(*, coin: bool) -> Order:
    """Return the order of a round by a coin toss."""
    return "ABBA" if coin else "BAAB"


def evaluate_rounds(
    plan: Schedule, rounds: Sequence[Round], better: Literal["lower", "higher"]
) -> ComparisonState:
    """Decide after each round whether a comparison is over, and how it ended.

    Args:
        plan: the schedule made before the first round.
        rounds: all rounds so far, in order.
        better: the direction of improvement.
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
    """Return whether the candidate's best run is worse than the base's worst, beyond chance."""
    base = [value for round_ in rounds for value in round_.of("A")]
    candidate = [value for round_ in rounds for value in round_.of("B")]
    apart = min(candidate) > max(base) if better == "lower" else max(candidate) < min(base)
    return apart and 1 / math.comb(2 * len(base), len(base)) <= _SEPARATION_ALPHA
