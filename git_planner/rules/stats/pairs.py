"""The numbers that a comparison by pairs goes by. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Pairs(NamedTuple):
    """How a noisy metric is compared: by pairs of a run of the base and one of the candidate.

    What is clearly worse is dropped after `screen` pairs, what does not look like a gain after twice as many,
    when its one-sided p is above `futility`. A gain is found between `min` and `max` pairs. `alpha` is the
    number of false keeps to expect in a whole campaign, at most; half of it is spent after `horizon`
    comparisons.
    """

    screen: int = 4
    min: int = 16
    max: int = 48
    alpha: float = 0.1
    horizon: int = 20
    futility: float = 0.25
