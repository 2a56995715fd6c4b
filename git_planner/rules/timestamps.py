"""Reckoning with times written as 'YYYY-MM-DDTHH:MM:SSZ'. Pure: what time it is comes from outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_FORM = "%Y-%m-%dT%H:%M:%SZ"


def add_seconds(stamp: str, seconds: float) -> str:
    """The time so many seconds after another one; the year 9999 at the latest."""
    try:
        return (datetime.strptime(stamp, _FORM) + timedelta(seconds=seconds)).strftime(_FORM)
    except OverflowError:
        return "9999-12-31T23:59:59Z"


def seconds_between(earlier: str, later_: str) -> float:
    """Seconds from one time to another."""
    return (datetime.strptime(later_, _FORM) - datetime.strptime(earlier, _FORM)).total_seconds()


def format_time(seconds: float) -> str:
    """A time in seconds since 1970 as it is written here."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime(_FORM)
