"""Find overlapping path patterns. Pure.

The patterns are those of a scope: '*', '?' and '[…]' within a folder, '**' across folders; a pattern without
any of them names a file, or a folder with everything in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import takewhile
from operator import eq

_MAGIC = frozenset("*?[")
_ANY = "**"
# The letters of two names of 255 characters, the longest that file systems allow.
_MAX_COMPARED = 255 * 255


def is_overlapping(one: str, other: str) -> bool:
    """Return whether a path can match both patterns. False is exact; '[…]' counts as any character."""
    # Most patterns already differ in a literal name.
    return all(map(eq, _literal_prefix(one), _literal_prefix(other))) and _parts_overlap(
        _pattern_parts(one), _pattern_parts(other)
    )


def find_overlap(ones: Sequence[str], others: Sequence[str]) -> tuple[str, str] | None:
    """Return the first overlapping patterns of two scopes, or None. An empty scope overlaps with nothing."""
    for one in ones:
        for other in others:
            if is_overlapping(one, other):
                return one, other
    return None


def is_matching(pattern: str, path: str) -> bool:
    """Return whether a pattern matches a path or a folder above it; '[…]' counts as any character."""
    return _sequences_overlap(_pattern_parts(pattern), tuple(path.split("/")), _ANY, _names_overlap)


@lru_cache(maxsize=4096)
def _pattern_parts(pattern: str) -> tuple[str, ...]:
    parts = [part for part in pattern.split("/") if part]
    # A name may be a folder: 'src' includes 'src/**'.
    return tuple(parts if parts[-1:] == [_ANY] else [*parts, _ANY])


@lru_cache(maxsize=4096)
def _literal_prefix(pattern: str) -> tuple[str, ...]:
    """Return the leading names of a pattern up to the first with a wildcard."""
    return tuple(takewhile(lambda part: not _MAGIC & set(part), _pattern_parts(pattern)))


def _parts_overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    for left, right in zip(one, other, strict=False):
        if _ANY in (left, right):
            break
        if left != right and not _names_overlap(left, right):
            return False
    return _sequences_overlap(one, other, _ANY, _names_overlap)


@lru_cache(maxsize=65536)
def _names_overlap(one: str, other: str) -> bool:
    if not _MAGIC & set(one) and not _MAGIC & set(other):
        return one == other
    return _sequences_overlap(_pattern_letters(one), _pattern_letters(other), "*", _same_letter)


def _pattern_letters(name: str) -> list[str]:
    """Return the letters of a name, with '?' for a set of characters."""
    letters: list[str] = []
    place = 0
    while place < len(name):
        close = name.find("]", place + 2) if name[place] == "[" else -1
        letters.append("?" if close > 0 else name[place])
        place = close + 1 if close > 0 else place + 1
    return letters


def _same_letter(one: str, other: str) -> bool:
    return one == other or "?" in (one, other)


def _sequences_overlap(
    one: Sequence[str], other: Sequence[str], wild: str, same: Callable[[str, str], bool]
) -> bool:
    """Return whether two sequences, in which `wild` stands for any number of items, can be equal.

    Longer ones than any real name, written to keep a reader busy, are taken to overlap.
    """
    if len(one) * len(other) > _MAX_COMPARED:
        return True
    reached = [[False] * (len(other) + 1) for _ in range(len(one) + 1)]
    reached[0][0] = True
    for left in range(len(one) + 1):
        for right in range(len(other) + 1):
            if not reached[left][right]:
                continue
            this = one[left] if left < len(one) else None
            that = other[right] if right < len(other) else None
            if this == wild or (this is not None and that == wild):
                reached[left + 1][right] = True
            if that == wild or (that is not None and this == wild):
                reached[left][right + 1] = True
            if this is not None and that is not None and wild not in (this, that) and same(this, that):
                reached[left + 1][right + 1] = True
    return reached[-1][-1]
