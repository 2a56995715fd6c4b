"""Summary statistics of a few samples, exactly defined. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise


def median(samples: Sequence[float]) -> float:
    """Return the middle of the sorted samples, or the mean of the two middle ones.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("no samples, no median")
    ordered = sorted(samples)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return ordered[half - 1] / 2 + ordered[half] / 2


def spread(samples: Sequence[float]) -> float:
    """Return the median absolute deviation: the median distance from the median, in the samples' unit.

    Not scaled to a standard deviation. One sample, or equal samples, have a spread of 0.

    Raises:
        ValueError: there are no samples.
    """
    middle = median(samples)
    return median([abs(sample - middle) for sample in samples])


def deviation(samples: Sequence[float]) -> float:
    """Return the sample standard deviation (n - 1), in the samples' unit.

    Raises:
        ValueError: there are fewer than two samples.
    """
    if len(samples) < 2:
        raise ValueError("one sample has no deviation")
    mean = math.fsum(samples) / len(samples)
    return math.sqrt(math.fsum((sample - mean) ** 2 for sample in samples) / (len(samples) - 1))


def autocorrelation(samples: Sequence[float]) -> float:
    """Return the autocorrelation of lag 1, from -1 to 1; 0 if all samples are equal."""
    if len(samples) < 2:
        return 0.0
    mean = math.fsum(samples) / len(samples)
    off = [sample - mean for sample in samples]
    total = math.fsum(distance * distance for distance in off)
    return math.fsum(one * next_ for one, next_ in pairwise(off)) / total if total else 0.0
