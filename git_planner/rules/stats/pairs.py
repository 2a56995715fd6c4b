"""Parameters of comparisons by pairs. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Pairs(NamedTuple):
    """Parameters for comparing a noisy metric by pairs of a run of the base and one of the candidate.

    Two pairs, with a run that does not count before them, are a round.

    A clearly worse candidate is dropped after `screen` pairs, and one whose one-sided p is above `futility`
    after twice as many. A gain is found between `min` and `max` pairs. `alpha` is the largest expected number
    of false keeps in a campaign; half of it is spent after `horizon` comparisons.
    """

    screen: int = 4
    min: int = 16
    max: int = 48
    alpha: float = 0.05
    horizon: int = 20
    futility: float = 0.25
