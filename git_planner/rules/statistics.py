"""Median and spread of a few samples, exactly defined. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def median(samples: Sequence[float]) -> float:
    """The middle of the sorted samples; the mean of the two middle ones when their number is even.

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
    """The median absolute deviation: the median of the distances from the median, in the samples' unit.

    Not scaled to a standard deviation. One sample, or equal samples, have a spread of 0.

    Raises:
        ValueError: there are no samples.
    """
    middle = median(samples)
    return median([abs(sample - middle) for sample in samples])
