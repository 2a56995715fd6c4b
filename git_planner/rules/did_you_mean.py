"""Suggest known names for a mistyped one. Pure."""

from __future__ import annotations

from collections.abc import Iterable

MAX_NAME = 80


def close_names(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that are close to a name, the closest first; at most two."""
    import difflib

    return (
        difflib.get_close_matches(name, [word for word in known if word != name], 2, 0.65)
        if len(name) <= MAX_NAME
        else []
    )


def did_you_mean(names: Iterable[str], otherwise: str) -> str:
    """Return a hint that suggests names, or another hint if there are none."""
    quoted = " or ".join(f"'{name}'" for name in names)
    return f"did you mean {quoted}?" if quoted else otherwise
