"""Set or remove one member of a JSON text, and leave every other byte, comments too, as it is. Pure.

Files of settings are often JSON with comments and trailing commas, and laid out by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from git_planner.errors import PlannerError

_BLANK = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_SCALAR = re.compile(r'"(?:[^"\\\n]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null')
_MAX_DEPTH = 100


class Member(NamedTuple):
    """A member of an object: its name, where it starts, and its value."""

    name: str
    start: int
    value: Node


class Node(NamedTuple):
    """A value in a text, from `start` to `end`; `members` of an object, None for all others."""

    start: int
    end: int
    members: tuple[Member, ...] | None = None

    def member(self, name: str) -> Member | None:
        """Return the member of a name; None when there is none."""
        return next((member for member in self.members or () if member.name == name), None)


def read_member(text: str, path: Sequence[str]) -> Any:
    """Return the value at a path of names; None when there is none.

    Raises:
        PlannerError: E_JSON.
    """
    node: Node | None = _parse(text)
    for name in path:
        member = node.member(name) if node is not None else None
        node = member.value if member is not None else None
    return None if node is None else _plain(text, node)


def set_member(text: str, path: Sequence[str], value: Any) -> str:
    """Return a text with a value at a path of names, adding the objects that are missing.

    Raises:
        PlannerError: E_JSON when the text is not valid, or a name of the path is no object.
    """
    text = text if text.strip() else "{}\n"
    node = _parse(text)
    for depth, name in enumerate(path):
        if node.members is None:
            raise _wrong(text, node.start, "an object is expected")
        member = node.member(name)
        if member is None:
            for missing in reversed(path[depth + 1 :]):
                value = {missing: value}
            return _insert(text, node, name, value)
        node = member.value
    return text[: node.start] + _dump(value, _indent_at(text, node.start)) + text[node.end :]


def remove_member(text: str, path: Sequence[str]) -> str:
    """Return a text without the value at a path; the same text when there is none.

    Raises:
        PlannerError: E_JSON.
    """
    node = _parse(text) if text.strip() else Node(0, 0)
    for name in path[:-1]:
        member = node.member(name)
        if member is None:
            return text
        node = member.value
    names = [member.name for member in node.members or ()]
    if path[-1] not in names or node.members is None:
        return text
    place = names.index(path[-1])
    member = node.members[place]
    start, end = len(text[: member.start].rstrip()), member.value.end
    comma = _skip(text, end)
    if text[comma : comma + 1] == ",":
        after = text[:start] + text[end:comma] + text[comma + 1 :]
    elif place > 0:
        # The last one: the comma before it goes, too.
        before = _skip(text, node.members[place - 1].value.end)
        after = text[:before] + text[before + 1 : start] + text[end:]
    else:
        after = text[:start] + text[end:]
    rest = after[node.start + 1 : len(after) - (len(text) - node.end) - 1]
    return after if rest.strip() else f"{text[: node.start]}{{}}{text[node.end :]}"


def _insert(text: str, node: Node, name: str, value: Any) -> str:
    """Return a text with a member at the start of an object."""
    outer = _indent_at(text, node.start)
    inner = outer + _step(text)
    member = f"\n{inner}{json.dumps(name, ensure_ascii=False)}: {_dump(value, inner)}"
    rest = text[node.start + 1 :]
    if node.members:
        # A member on the line of the brace gets a line of its own.
        is_beside = "\n" not in text[node.start : node.members[0].start]
        gap = f"\n{inner}" if is_beside else ""
        return f"{text[: node.start]}{{{member},{gap}{rest.lstrip(' ') if is_beside else rest}"
    if text[node.start + 1 : node.end - 1].strip():
        # Comments only.
        return f"{text[: node.start]}{{{member}{rest}"
    return f"{text[: node.start]}{{{member}\n{outer}}}{text[node.end :]}"


def _indent_at(text: str, place: int) -> str:
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _step(text: str) -> str:
    match = re.search(r"\n([ \t]+)\S", text)
    return match[1] if match else "  "


def _dump(value: Any, indent: str) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", f"\n{indent}")


def _parse(text: str) -> Node:
    node = _value(text, _skip(text, 1 if text[:1] == "\ufeff" else 0), 0)
    end = _skip(text, node.end)
    if end != len(text):
        raise _wrong(text, end, "the text goes on after its value")
    return node


def _skip(text: str, place: int) -> int:
    match = _BLANK.match(text, place)
    return match.end() if match else place


def _value(text: str, place: int, depth: int) -> Node:
    if depth > _MAX_DEPTH:
        raise _wrong(text, place, "it is nested too deeply")
    if text[place : place + 1] == "{":
        return _object(text, place, depth)
    if text[place : place + 1] == "[":
        at = _skip(text, place + 1)
        while text[at : at + 1] != "]":
            at = _comma(text, _value(text, at, depth + 1).end, "]")
        return Node(place, at + 1)
    match = _SCALAR.match(text, place)
    if match is None:
        raise _wrong(text, place, "a value is expected")
    return Node(place, match.end())


def _object(text: str, place: int, depth: int) -> Node:
    members: list[Member] = []
    at = _skip(text, place + 1)
    while text[at : at + 1] != "}":
        name = _SCALAR.match(text, at)
        if name is None or name[0][:1] != '"':
            raise _wrong(text, at, "a name in double quotes is expected")
        colon = _skip(text, name.end())
        if text[colon : colon + 1] != ":":
            raise _wrong(text, colon, "a colon is expected")
        value = _value(text, _skip(text, colon + 1), depth + 1)
        members.append(Member(json.loads(name[0], strict=False), at, value))
        at = _comma(text, value.end, "}")
    return Node(place, at + 1, tuple(members))


def _comma(text: str, place: int, closing: str) -> int:
    """Return the place of the next item, or of the closing bracket."""
    place = _skip(text, place)
    if text[place : place + 1] == ",":
        return _skip(text, place + 1)
    if text[place : place + 1] != closing:
        raise _wrong(text, place, f"a comma or '{closing}' is expected")
    return place


def _plain(text: str, node: Node) -> Any:
    """Return the value of a node, whose text may hold comments."""
    if node.members is not None:
        return {member.name: _plain(text, member.value) for member in node.members}
    part = text[node.start : node.end]
    if part[:1] != "[":
        return json.loads(part, strict=False)
    items = []
    at = _skip(text, node.start + 1)
    while text[at : at + 1] != "]":
        item = _value(text, at, 0)
        items.append(_plain(text, item))
        at = _comma(text, item.end, "]")
    return items


def _wrong(text: str, place: int, reason: str) -> PlannerError:
    line = text.count("\n", 0, place) + 1
    return PlannerError("E_JSON", f"line {line} of the file is not JSON: {reason}")
