"""Pathspecs matched here, for the few forms whose meaning is simple; git is asked about all others.

A check asks which of a handful of changed paths some pathspecs match, again and again. A process for each
question would take longer than all the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

Matcher = Callable[[str], bool]
# A part of a glob that stands for any number of folders.
_ANY = "**"


class _Pattern(NamedTuple):
    """One pathspec as the parts of its path. `pieces` are the texts between the stars of a part."""

    icase: bool
    is_literal: bool
    pieces: tuple[tuple[str, ...], ...]


@cache
def matcher(pathspecs: tuple[str, ...]) -> Matcher | None:
    """Return a function that tells whether git would match a path; None if one pathspec needs git itself."""
    patterns = [_parse(spec) for spec in pathspecs]
    known = [pattern for pattern in patterns if pattern is not None]
    if not known or len(known) < len(patterns):
        return None

    def matches(path: str) -> bool:
        exact, lower = path.split("/"), _lower(path).split("/")
        return any(_matches(pattern, lower if pattern.icase else exact) for pattern in known)

    return matches


def _parse(spec: str) -> _Pattern | None:
    """Return a pathspec as a pattern; None if it is of another form."""
    magic, closed, text = spec.removeprefix(":(").partition(")")
    words = magic.split(",")
    if not spec.startswith(":(") or not closed or words[0] != "top":
        return None
    icase, kinds = "icase" in words, [word for word in words[1:] if word != "icase"]
    if kinds not in (["glob"], ["literal"]) or not text.isascii():
        return None
    stars = kinds == ["glob"]
    parts = (_lower(text) if icase else text).split("/")
    # Other wildcards, and stars across folders that are not a part of their own, are left to git.
    if "" in parts or (stars and any(set(part) & {*"?[\\"} or _ANY in part != _ANY for part in parts)):
        return None
    pieces = tuple(tuple(part.split("*")) if stars else (part,) for part in parts)
    return _Pattern(icase, not (stars and "*" in text), pieces)


def _matches(pattern: _Pattern, path: Sequence[str]) -> bool:
    if pattern.is_literal:
        # The path itself, and everything in a folder of that name.
        return [piece for (piece,) in pattern.pieces] == list(path[: len(pattern.pieces)])
    return _matches_parts(pattern.pieces, path)


def _matches_parts(pieces: Sequence[tuple[str, ...]], path: Sequence[str]) -> bool:
    for place, part in enumerate(pieces):
        if part == ("", "", ""):
            rest = pieces[place + 1 :]
            if not rest:
                return len(path) > place
            return any(_matches_parts(rest, path[start:]) for start in range(place, len(path)))
        if place >= len(path) or not _matches_part(part, path[place]):
            return False
    return len(path) == len(pieces)


def _matches_part(pieces: tuple[str, ...], name: str) -> bool:
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return name == first
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    inner, position = name[len(first) : len(name) - len(last)], 0
    for piece in pieces[1:-1]:
        position = inner.find(piece, position)
        if position < 0:
            return False
        position += len(piece)
    return True


def _lower(text: str) -> str:
    """Return a text with its ASCII letters lowered: git ignores the case of no others."""
    return text.translate(_LOWERED)


_LOWERED = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
