"""Judging of variants: who becomes a finalist, and who wins. Pure.

The best of N noisy numbers is partly luck, so it is not believed. Screening and confirmation are kept apart:
the runs that choose the finalist do not count when it is compared with the base, and those comparisons use
the paired design of records. The finalist must then be better than the runner-up; if the two cannot be told
apart, the smaller patch wins. "No variant is better than the base" is a result.

Comparisons with the base spend the error budget of the tournament: the first one of a tournament without a
better variant ends with a winner with a probability of at most `ALPHA`. All further ones together, of another
finalist, a composition or a later turn, add at most as much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from git_planner.rules.stats import paired_design
from git_planner.rules.stats.pairs import Pairs

ALPHA = 0.006
# The share of the first comparison of a campaign with this horizon is half of its alpha.
_HORIZON = 1
Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Contender:
    """A variant in the screening: number, gain over the base in the metric's unit, and changed lines."""

    number: int
    gain: float
    lines: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Result of judging: the winner's number, None if no variant is better than the base, and why."""

    winner: int | None
    rationale: str


def tournament_schedule(pairs: Pairs, number: int = 1) -> paired_design.Schedule:
    """Return the schedule of a comparison: the policy's numbers with the alpha of a tournament.

    Args:
        pairs: the policy's parameters.
        number: the number of the comparison with the base in the tournament, from 1.
    """
    own = pairs._replace(alpha=2 * ALPHA, horizon=_HORIZON)
    return paired_design.plan_comparison(own, number)


def screening_gain(base: Sequence[float], values: Sequence[float], better: Better) -> float:
    """Return the mean gain of a variant over the base in the blocks of the screening.

    Args:
        base: the base's value in each block, in the metric's unit.
        values: the variant's value in each block.
        better: the direction of improvement.
    """
    gains = [before - after for before, after in zip(base, values, strict=True)]
    mean = math.fsum(gains) / len(gains)
    return mean if better == "lower" else -mean


def rank(contenders: Sequence[Contender]) -> list[Contender]:
    """Return the contenders that gain anything, the best first; equal ones by the size of their patch."""
    gaining = [contender for contender in contenders if contender.gain > 0]
    return sorted(gaining, key=lambda contender: (-contender.gain, contender.lines, contender.number))


def choose_exact(contenders: Sequence[Contender], min_gain: float) -> Choice:
    """Choose by a deterministic metric: the largest gain; of equal gains the smallest patch."""
    ranked = rank(contenders)
    if not ranked or ranked[0].gain < min_gain:
        return Choice(None, _nothing(len(contenders)))
    top = ranked[0]
    equal = [contender for contender in ranked[1:] if contender.gain == top.gain]
    tie = f"; {len(equal)} with the same value have larger patches" if equal else ""
    return Choice(top.number, f"v{top.number} has the largest gain{tie}")


def needs_runner_up(finalist_is_better: bool, ranked: Sequence[Contender]) -> bool:
    """Return whether the finalist has to be compared with a runner-up."""
    return finalist_is_better and len(ranked) > 1


def choose_confirmed(
    ranked: Sequence[Contender],
    *,
    better_than_base: bool,
    better_than_next: bool | None,
    next_better_than_base: bool | None,
) -> Choice:
    """Choose by the comparisons of the finalists.

    Args:
        ranked: the contenders of the screening, the best first.
        better_than_base: whether the finalist has been confirmed against the base.
        better_than_next: whether it is better than the runner-up; None if there is none.
        next_better_than_base: whether the runner-up, of a smaller patch and not told apart from the
            finalist, has been confirmed too; None if that was not asked.
    """
    if not ranked or not better_than_base:
        return Choice(None, _nothing(len(ranked)))
    finalist = ranked[0]
    if better_than_next is None:
        return Choice(finalist.number, f"v{finalist.number} is better than the base")
    runner_up = ranked[1]
    if better_than_next:
        return Choice(
            finalist.number, f"v{finalist.number} is better than the base and than v{runner_up.number}"
        )
    if next_better_than_base:
        return Choice(
            runner_up.number,
            f"v{runner_up.number} and v{finalist.number} cannot be told apart, and the patch of"
            f" v{runner_up.number} is smaller",
        )
    return Choice(
        finalist.number,
        f"v{finalist.number} is better than the base; v{runner_up.number} cannot be told apart from it, and"
        f" {'its patch is not smaller' if next_better_than_base is None else 'is not better than the base'}",
    )


def _nothing(count: int) -> str:
    return "no variant is better than the base" if count else "no variant gains anything over the base"
