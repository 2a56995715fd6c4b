"""Admission of heavy work and of new sessions by the load and the memory of a host."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostState:
    """State of a host: load average of one minute, number of CPUs, available memory in GiB.

    None: the host does not say.
    """

    load: float | None
    cpus: int
    memory: float | None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Load average and available memory in GiB at which no more work is admitted. None: no threshold."""

    max_load: float | None = None
    min_memory: float | None = None


def default_limit(cpus: int) -> int:
    """Return the default number of heavy leases of a host with so many CPUs."""
    return max(1, cpus // 2)


def refusal(state: HostState, thresholds: Thresholds) -> str | None:
    """Return why a host admits no more work; None if it does."""
    if thresholds.max_load is not None and state.load is not None and state.load >= thresholds.max_load:
        return f"the load average is {state.load:.2f}, the limit {thresholds.max_load:g}"
    low = thresholds.min_memory
    if low is not None and state.memory is not None and state.memory < low:
        return f"{state.memory:.1f} GiB of memory are available, {low:g} are required"
    return None


def without_figures(reason: str) -> str:
    """Return a reason without load, memory and seconds, which differ each time it is asked for."""
    return re.sub(r"\d+\.\d+", "", reason)
