"""The items of a spec and their dependencies. Pure.

An item is referred to by its key, its number ('1.2' before its title or of numbered lists), its title, or, if
no item has a number, its place in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from git_planner.rules.documents.messages import show_value
from git_planner.rules.printable import printable_path
from git_planner.rules.tasks.dependency_graph import find_cycle

MAX_DEPENDENCIES = 200


@dataclass(frozen=True, slots=True)
class SpecFault:
    """A fault in a line of a file."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{printable_path(self.path)}:{self.line}: {self.message}"

    def document(self) -> dict[str, str | int]:
        """Return the fault as a JSON document."""
        return {"path": self.path, "line": self.line, "message": self.message}


@dataclass(frozen=True, slots=True)
class DependencyText:
    """The text after 'after:', and its line."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class SpecItem:
    """A task in a spec. `key` identifies it within its change; `line` is where its box is.

    `parent` is the key of the item it is nested in. `wanted` are its dependencies as written, `after` the
    keys of all its dependencies, including its nested items and the dependencies of its parents.
    """

    key: str
    title: str
    line: int
    ticked: bool = False
    intent: str = ""
    number: str = ""
    parent: str | None = None
    wanted: tuple[DependencyText, ...] = ()
    after: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    read_scope: tuple[str, ...] = ()
    write_scope: tuple[str, ...] = ()
    acceptance: tuple[str, ...] = ()
    verify: tuple[tuple[str, ...], ...] = ()
    risks: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


def normalize_title(title: str) -> str:
    """Normalize a title for comparison: lower case, without markup, extra spaces and final punctuation."""
    return " ".join(re.sub(r"[`*_]", "", title).casefold().split()).rstrip(" .:;!")


def resolve_dependencies(
    items: Sequence[SpecItem], path: str
) -> tuple[tuple[SpecItem, ...], list[SpecFault]]:
    """Resolve the dependencies of items, and set `after`.

    Args:
        items: items with unique keys.
        path: the path of their file.
    """
    names = _Names(items)
    faults: list[SpecFault] = []
    own = {item.key: list(_own_dependencies(item, names, path, faults)) for item in items}
    by_key = {item.key: item for item in items}
    nested: dict[str, list[str]] = {item.key: [] for item in items}
    for item in items:
        if item.parent is not None:
            nested[item.parent].append(item.key)
    resolved = []
    for item in items:
        # What an outer item has nested is part of the family: only its written dependencies are inherited.
        inherited = [key for above in _parent_keys(item, by_key) for key in own[above]]
        family = {item.key, *_parent_keys(item, by_key)}
        beside = [key for key in inherited if not family & {key, *_parent_keys(by_key[key], by_key)}]
        after = tuple(
            key for key in dict.fromkeys([*own[item.key], *nested[item.key], *beside]) if key != item.key
        )
        if len(after) > MAX_DEPENDENCIES:
            message = f"comes after {len(after):,} others; at most {MAX_DEPENDENCIES} are kept"
            faults.append(SpecFault(path, item.line, message))
        resolved.append(replace(item, after=after))
    cycle = find_cycle({item.key: item.after for item in resolved})
    if cycle:
        titles = " → ".join(show_value(by_key[key].title) for key in cycle)
        faults.append(SpecFault(path, by_key[cycle[0]].line, f"dependency cycle: {titles}"))
    return tuple(resolved), faults


def _parent_keys(item: SpecItem, by_key: dict[str, SpecItem]) -> list[str]:
    parents = []
    while item.parent is not None:
        item = by_key[item.parent]
        parents.append(item.key)
    return parents


def _own_dependencies(item: SpecItem, names: _Names, path: str, faults: list[SpecFault]) -> Iterator[str]:
    for wanted in item.wanted:
        for part in names.parts(wanted.text):
            keys = names.find(part)
            if len(keys) == 1 and keys[0] != item.key:
                yield keys[0]
            elif len(keys) == 1:
                faults.append(SpecFault(path, wanted.line, "comes after itself"))
            else:
                problem = (
                    f"may be any of {len(keys)} tasks: name its key" if keys else "is not a task of this file"
                )
                faults.append(SpecFault(path, wanted.line, f"{show_value(part)} {problem}"))


class _Names:
    """Item keys by key, number, title and place."""

    def __init__(self, items: Sequence[SpecItem]) -> None:
        self._keys = {item.key for item in items}
        self._titles: dict[str, list[str]] = {}
        self._numbers: dict[str, list[str]] = {}
        for item in items:
            self._titles.setdefault(normalize_title(item.title), []).append(item.key)
            if item.number:
                self._numbers.setdefault(item.number, []).append(item.key)
        self._places = [] if self._numbers else [item.key for item in items]

    def parts(self, text: str, marks: str = ";,") -> list[str]:
        """Split a text into names: one if it is a name (a title may have commas), else at the marks."""
        whole = " ".join(text.split())
        if not marks or self.find(whole):
            return [whole] if whole else []
        return [part for piece in whole.split(marks[0]) for part in self.parts(piece, marks[1:])]

    def find(self, name: str) -> list[str]:
        """Return the keys of the items that match a name."""
        plain = name.strip().strip("`")
        key = re.sub(r"^\{?#|\}$", "", plain)
        if key in self._keys:
            return [key]
        number = plain.removeprefix("task ").rstrip(".)")
        if number in self._numbers:
            return self._numbers[number]
        if number.isascii() and number.isdigit() and 0 < int(number[:9]) <= len(self._places):
            return [self._places[int(number[:9]) - 1]]
        return self._titles.get(normalize_title(plain), [])
