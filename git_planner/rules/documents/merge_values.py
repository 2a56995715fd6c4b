"""Three-way merge of plain JSON values and lists. Pure; knows no document.

Callers order the two sides independently of which one is local.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from git_planner.rules.documents.canonical_json import compact
from git_planner.rules.documents.messages import json_pointer


class _Absent:
    """Type of ABSENT, the value of a missing key."""


ABSENT: Any = _Absent()

Key = Callable[[Any], object]


def is_same_json(one: Any, other: Any) -> bool:
    """Return whether two values are the same JSON; 1, 1.0 and true differ."""
    if one is ABSENT or other is ABSENT:
        return one is other
    return bool(one == other) and compact(one) == compact(other)


def pick_changed(base: Any, one: Any, other: Any) -> Any:
    """Return the value that at most one side changed, or both to the same value; it may be ABSENT.

    Raises:
        LookupError: both sides changed it differently.
    """
    if is_same_json(one, other) or is_same_json(base, one):
        return other
    if is_same_json(base, other):
        return one
    raise LookupError


def merge_value(base: Any, one: Any, other: Any, path: tuple[str, ...], conflicts: list[str]) -> Any:
    """Merge two values, objects key by key.

    Args:
        base, one, other: JSON values, or ABSENT.
        path: their place in the document.
        conflicts: receives a JSON pointer for each place that both sides changed differently; the result has
            the value of `one` there, or that of `other` if `one` deleted it.
    """
    try:
        return pick_changed(base, one, other)
    except LookupError:
        pass
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        past: Mapping[str, Any] = base if isinstance(base, Mapping) else {}
        merged = {
            key: merge_value(
                past.get(key, ABSENT), one.get(key, ABSENT), other.get(key, ABSENT), (*path, key), conflicts
            )
            for key in all_keys(one, other)
        }
        return {key: item for key, item in merged.items() if item is not ABSENT}
    conflicts.append(json_pointer(path))
    return other if one is ABSENT else one


def all_keys(*objects: Mapping[str, Any]) -> list[str]:
    """Return the sorted keys of all objects."""
    return sorted({key for mapping in objects for key in mapping})


def items_by_identity(items: Iterable[Any], key: Key = compact) -> dict[object, Any]:
    """Return a list's items by identity and by the number of their occurrence."""
    items_by_key: dict[object, Any] = {}
    counts: dict[object, int] = {}
    for item in items:
        name = key(item)
        counts[name] = counts.get(name, 0) + 1
        items_by_key[name, counts[name]] = item
    return items_by_key


def union(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    """Return all items: the common ones, then those of `one` only, then those of `other` only."""
    left, right = items_by_identity(one), items_by_identity(other)
    both = [item for name, item in left.items() if name in right]
    fresh = [item for name, item in left.items() if name not in right]
    return [*both, *fresh, *(item for name, item in right.items() if name not in left)]


def merge_list(base: Sequence[Any], one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    """Return the items that both sides kept, then the items that each side added."""
    past, left, right = items_by_identity(base), items_by_identity(one), items_by_identity(other)
    kept = [item for name, item in past.items() if name in left and name in right]
    added = [item for name, item in left.items() if name not in past]
    return [*kept, *added, *(item for name, item in right.items() if name not in past and name not in left)]


def sorted_by_time(items: Iterable[Any]) -> list[Any]:
    """Return items sorted by their key 'at', oldest first."""
    return sorted(items, key=lambda item: str(item.get("at", "")) if isinstance(item, Mapping) else "")
