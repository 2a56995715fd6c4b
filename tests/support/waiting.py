"""Waiting in tests: for what another process does, with one limit that only guards against a hang."""

from __future__ import annotations

import time
from collections.abc import Callable

# Far more than anything takes on a busy machine: a test that passes never waits so long.
HANG_SECONDS = 120.0


def holds_in_time(condition: Callable[[], object], pause: float = 0.01) -> bool:
    """Wait until a condition holds; return False if it does not."""
    until = time.monotonic() + HANG_SECONDS
    while not condition():
        if time.monotonic() >= until:
            return False
        time.sleep(pause)
    return True


def wait_until(
    condition: Callable[[], object], describe: Callable[[], object] | None = None, pause: float = 0.05
) -> None:
    """Wait until a condition holds; a failure shows what there was instead."""
    if not holds_in_time(condition, pause):
        raise AssertionError(f"not within {HANG_SECONDS:g} s: {describe() if describe else condition}")
