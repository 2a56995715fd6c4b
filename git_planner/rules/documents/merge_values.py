"""Three-way merge of plain JSON values and lists. Pure; knows no document.

Whoever calls puts the two sides into an order that does not depend on who merges; nothing here does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from git_planner.rules.documents.canonical_json import compact
from git_planner.rules.documents.messages import json_pointer


class _Absent:
    """No such key; there is one of it."""


ABSENT: Any = _Absent()

Key = Callable[[Any], object]


def is_same_json(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; 1, 1.0 and true are three."""
    if one is ABSENT or other is ABSENT:
        return one is other
    return bool(one == other) and compact(one) == compact(other)


def pick_changed(base: Any, one: Any, other: Any) -> Any:
    """The value where at most one side changed it, or both alike; ABSENT can be such a value.

    Raises:
        LookupError: both sides changed it to something else.
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
        path: where they stand.
        conflicts: gets a JSON pointer for each place that both sides changed to something else; the value of
            `one`, or the one that is there, is taken.
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
    """The keys of all the objects, sorted."""
    return sorted({key for mapping in objects for key in mapping})


def items_by_identity(items: Iterable[Any], key: Key = compact) -> dict[object, Any]:
    """A list's items by identity; a second item of one identity is another one."""
    items_by_key: dict[object, Any] = {}
    counts: dict[object, int] = {}
    for item in items:
        name = key(item)
        counts[name] = counts.get(name, 0) + 1
        items_by_key[name, counts[name]] = item
    return items_by_key


def union(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    """All items: what both have, then what only `one` has, then what only `other` has."""
    left, right = items_by_identity(one), items_by_identity(other)
    both = [item for name, item in left.items() if name in right]
    fresh = [item for name, item in left.items() if name not in right]
    return [*both, *fresh, *(item for name, item in right.items() if name not in left)]


def merge_list(base: Sequence[Any], one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    """What both sides kept of a list, then what each of them added; what one side took out is out."""
    past, left, right = items_by_identity(base), items_by_identity(one), items_by_identity(other)
    kept = [item for name, item in past.items() if name in left and name in right]
    added = [item for name, item in left.items() if name not in past]
    return [*kept, *added, *(item for name, item in right.items() if name not in past and name not in left)]


def sorted_by_time(items: Iterable[Any]) -> list[Any]:
    """Items that say when they were made, oldest first."""
    return sorted(items, key=lambda item: str(item.get("at", "")) if isinstance(item, Mapping) else "")
