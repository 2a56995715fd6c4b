"""Arithmetic on timestamps of the form 'YYYY-MM-DDTHH:MM:SSZ'. Pure: callers pass the current time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_FORM = "%Y-%m-%dT%H:%M:%SZ"


def add_seconds(stamp: str, seconds: float) -> str:
    """Return the timestamp `seconds` after another one, at most in the year 9999."""
    try:
        # Importing the parser of strptime takes 2 ms.
        return (datetime.fromisoformat(stamp) + timedelta(seconds=seconds)).strftime(_FORM)
    except OverflowError:
        return "9999-12-31T23:59:59Z"


def seconds_between(earlier: str, later: str) -> float:
    """Return the seconds from one timestamp to another."""
    return (datetime.strptime(later, _FORM) - datetime.strptime(earlier, _FORM)).total_seconds()


def format_time(seconds: float) -> str:
    """Return the timestamp of a time in seconds since 1970."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime(_FORM)
