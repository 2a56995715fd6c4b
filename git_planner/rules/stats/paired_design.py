"""Paired design of a noisy comparison: runs of base (A) and candidate (B) in rounds of five to seven. Pure.

A round is AABBA or BBAAB, chosen by a fair coin. Its first run is a lead-in and does not count; up to two
more of the same tree come before it, a random number, so that no disturbance that comes back keeps step with
the rounds. Of the others, one of each tree follows a run of the base and one a run of the candidate (a design
balanced for carry-over: E. J. Williams, Australian Journal of Scientific Research A 2, 1949). The gain of a
round is the mean difference of base and candidate, in which linear drift cancels out, and so does whatever a
run adds to the next one. Because of the coin, the sign of each round's gain is then random if base and
candidate behave alike, so the sign-flip test is exact for any noise: correlated, heavy-tailed, periodic or
drifting (R. A. Fisher, 'The Design of Experiments', 1935: randomisation is the reasoned basis of the test).
A gain must also stand once longer after-effects are removed (after_effects.py), which is an approximation.

Cheap first: clearly worse candidates are dropped after the screening, futile ones soon after (an early drop
is never a false keep), and only promising ones are measured up to the looks, which spend the comparison's
share of the error budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from git_planner.rules.stats import after_effects, signed_rank
from git_planner.rules.stats.alpha_spending import LOOKS, alpha_share
from git_planner.rules.stats.pairs import Pairs

Letter = Literal["A", "B"]
Order = Literal["AABBA", "AAABBA", "AAAABBA", "BBAAB", "BBBAAB", "BBBBAAB"]
# Most lead-ins of a round besides the first.
MOST_EXTRA = 2
_COUNTED = 4
_ORDERS: tuple[tuple[Order, ...], tuple[Order, ...]] = (
    ("BBAAB", "BBBAAB", "BBBBAAB"),
    ("AABBA", "AAABBA", "AAAABBA"),
)
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
    """Runs in order, with their values in the metric's unit; all but the last four are lead-ins."""

    order: Order
    values: tuple[float, ...]

    @property
    def lead_ins(self) -> tuple[float, ...]:
        """The values of the uncounted runs."""
        return self.values[:-_COUNTED]

    def of(self, letter: Letter) -> tuple[float, float]:
        """Return the counted values of the base (A) or the candidate (B)."""
        first, second, third, fourth = self.values[-_COUNTED:]
        return (first, fourth) if self.order[0] == letter else (second, third)

    def gain(self, better: Literal["lower", "higher"]) -> float:
        """Return the gain of the candidate, in the metric's unit."""
        first, second, third, fourth = self.values[-_COUNTED:]
        difference = (first / 2 + fourth / 2) - (second / 2 + third / 2)
        return difference if (self.order[0] == "A") == (better == "lower") else -difference


@dataclass(frozen=True, slots=True)
class ComparisonState:
    """The state of a comparison. `ending` is None while more rounds are needed.

    `p` is the one-sided p-value of the gains (1 before the end of the screening), `look` the deciding look.
    `adjusted_p` is the p-value without after-effects, needed only where `p` is small enough for a keep.
    """

    ending: Ending | None
    p: float
    look: Look | None = None
    adjusted_p: float | None = None


def plan_comparison(pairs: Pairs, number: int) -> Schedule:
    """Plan one comparison.

    Args:
        pairs: the policy's parameters, in counted pairs; a round has two.
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


def round_order(*, coin: bool, extra: int = 0) -> Order:
    """Return the order of a round by a coin toss.

    Args:
        coin: the side of the coin.
        extra: the number of lead-ins besides the first, a random one of 0 to MOST_EXTRA.
    """
    return _ORDERS[coin][extra]


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
    adjusted: float | None = None
    for look in plan.looks:
        if look.rounds == done and p <= look.alpha:
            adjusted = after_effects.p_value([(round_.order, round_.values) for round_ in rounds], better)
            if adjusted <= look.alpha:
                return ComparisonState("improved", p, look, adjusted)
    # Only losses, whose p is 1, can be separated.
    if p >= 1 and _is_separated(rounds, better):
        return ComparisonState("worse", p)
    if done >= 2 * plan.screen and p > plan.futility:
        return ComparisonState("futile", p)
    return ComparisonState("budget" if done >= plan.most else None, p, None, adjusted)


def _is_separated(rounds: Sequence[Round], better: Literal["lower", "higher"]) -> bool:
    """Return whether the candidate's best run is worse than the base's worst, beyond chance."""
    base = [value for round_ in rounds for value in round_.of("A")]
    candidate = [value for round_ in rounds for value in round_.of("B")]
    apart = min(candidate) > max(base) if better == "lower" else max(candidate) < min(base)
    return apart and 1 / math.comb(2 * len(base), len(base)) <= _SEPARATION_ALPHA
