"""The wall clock of this machine, which decides expiry. Git's date only stamps commits."""

from __future__ import annotations

import time

from git_planner.rules.timestamps import format_time


def utc_now() -> str:
    """Return the time of this machine in UTC as 'YYYY-MM-DDTHH:MM:SSZ'; git's settings do not move it."""
    return format_time(time.time())
