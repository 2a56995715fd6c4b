"""Three-way merge of documents by what they mean: objects key by key, plans task by task. Pure.

The two sides are put in the order of their canonical forms first, so that the answer is the same whoever
merges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner.rules.documents.canonical_json import compact, digest
from git_planner.rules.documents.merge_values import (
    ABSENT,
    all_keys,
    is_same_json,
    items_by_identity,
    merge_list,
    merge_value,
    pick_changed,
)
from git_planner.rules.documents.messages import json_pointer
from git_planner.rules.plans.merge_task import merge_task
from git_planner.rules.plans.pages import PAGE_SIZE, find_repeated
from git_planner.rules.plans.plan import SCHEMA
from git_planner.rules.tasks.task import task_id_for, task_number

# What says where a plan began goes together.
_ORIGIN = ("created_at", "base", "base_ref")
_SETS = ("constraints", "acceptance")
# What a program answered or measured in one go is worth nothing in parts.
_ANSWER = "git-planner/planning-plan@1"
_NOISE = "git-planner/noise@1"

Document = Mapping[str, Any]
_Key = tuple[object, int]


@dataclass(frozen=True, slots=True)
class MergeResult:
    """A merge.

    Args:
        document: both sides in one; where `conflicts` names places, one side's value stands there.
        told: what gave way and became a note, or got another number; one sentence each.
        conflicts: JSON pointers to what both sides changed to something else, for a person to settle.
    """

    document: Any
    told: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


def merge_documents(base: Any, ours: Any, theirs: Any, *, whole: bool = False) -> MergeResult:
    """Merge two versions of a document. Nothing that a task says is lost.

    Args:
        base: the version that both come from; None when there is none.
        ours, theirs: the two versions; which is which makes no difference.
        whole: plans are whole ones and not single pages, so that a task whose number is taken may go to any
            free number. Within a page it stays on that page; when that is full, it is a conflict.
    """
    one, other = sorted((ours, theirs), key=compact)
    if is_same_json(one, other) or is_same_json(base, one):
        return MergeResult(other)
    if is_same_json(base, other):
        return MergeResult(one)
    if all(isinstance(side, dict) and side.get("schema") == SCHEMA for side in (one, other)):
        return _plans(base if isinstance(base, dict) else {}, one, other, whole=whole)
    if all(isinstance(side, dict) and side.get("schema") == _ANSWER for side in (one, other)):
        # The same one that the plan says its tasks came from; those of the other are there as well.
        return MergeResult(min(one, other, key=digest))
    if all(isinstance(side, dict) and side.get("schema") == _NOISE for side in (one, other)):
        return MergeResult(max(one, other, key=lambda side: str(side.get("created_at"))))
    conflicts: list[str] = []
    document = merge_value(ABSENT if base is None else base, one, other, (), conflicts)
    return MergeResult(document, (), tuple(conflicts))


def merge_duplicates(plan: Document) -> MergeResult:
    """A whole plan in which no two tasks have one number or one identity.

    A merge that goes by lines leaves such plans: git slides a new task between the lines of another one, so
    that two new tasks, or one that both sides have, end up below each other without a conflict.
    """
    if find_repeated(plan["tasks"]) is None:
        return MergeResult(plan)
    told: list[str] = []
    found: dict[str, Any] = {}
    for other in sorted(plan["tasks"], key=compact):
        known = found.get(_identity(other))
        if known is None:
            found[_identity(other)] = other
            continue
        task, lost = merge_task(None, known, other)
        found[_identity(other)] = {**task, "id": min(known["id"], other["id"], key=task_number)}
        told += [f"{other['id']}: was there twice", *(f"{other['id']}: {note}" for note in lost)]
    tasks = _referring(found.values())
    before = {key: dict(other) for key, other in tasks.items()}
    _numbered(tasks, {}, told, [], whole=True)
    return MergeResult({**plan, "tasks": _with_ids(tasks, [before])}, tuple(told))


def _plans(past: Document, one: Document, other: Document, *, whole: bool) -> MergeResult:
    conflicts: list[str] = []
    found = _origin(past, one, other, conflicts)
    for key in all_keys(one, other):
        was, left, right = (side.get(key, ABSENT) for side in (past, one, other))
        if key == "tasks" or key in _ORIGIN:
            continue
        if key in _SETS and isinstance(left, list) and isinstance(right, list):
            found[key] = _items(was if isinstance(was, list) else [], left, right)
        elif key == "planning_plan":
            found[key] = _answer(was, left, right)
        else:
            found[key] = merge_value(was, left, right, (key,), conflicts)
    told: list[str] = []
    sides = [_referring(side.get("tasks", [])) for side in (past, one, other)]
    tasks = _tasks(sides[0], sides[1], sides[2], told)
    _numbered(tasks, sides[0], told, conflicts, whole=whole)
    found["tasks"] = _with_ids(tasks, sides)
    return MergeResult(
        {key: item for key, item in found.items() if item is not ABSENT}, tuple(told), tuple(conflicts)
    )


def _items(was: Sequence[Any], left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
    try:
        return list(pick_changed(was, left, right))
    except LookupError:
        return merge_list(was, left, right)


def _answer(was: Any, left: Any, right: Any) -> Any:
    """Which planning plan the tasks came from; the lesser digest, as for the planning plans themselves."""
    try:
        return pick_changed(was, left, right)
    except LookupError:
        return min(item for item in (left, right) if isinstance(item, str))


def _origin(past: Document, one: Document, other: Document, conflicts: list[str]) -> dict[str, Any]:
    """Where the plan began: what was made first, when both sides made it."""
    was, left, right = ({key: side.get(key) for key in _ORIGIN} for side in (past, one, other))
    try:
        return dict(pick_changed(was, left, right))
    except LookupError:
        if past:
            conflicts += [f"/{key}" for key in _ORIGIN if not is_same_json(left[key], right[key])]
    return left if str(left["created_at"]) <= str(right["created_at"]) else right


def _tasks(
    past: Mapping[_Key, Document],
    left: Mapping[_Key, Document],
    right: Mapping[_Key, Document],
    told: list[str],
) -> dict[_Key, dict[str, Any]]:
    """The tasks of both sides, by identity, with the numbers they would like to have."""
    found: dict[_Key, dict[str, Any]] = {}
    for key in [*left, *(item for item in right if item not in left)]:
        was, one, other = past.get(key), left.get(key), right.get(key)
        if one is None or other is None:
            there = one or other
            assert there is not None
            # Taken out on one side and untouched on the other; one that was worked on stays.
            if was is None or not is_same_json(was, there):
                found[key] = dict(there)
            continue
        task, lost = merge_task(was, one, other)
        try:
            task["id"] = pick_changed(was["id"] if was else ABSENT, one["id"], other["id"])
        except LookupError:
            task["id"] = min(one["id"], other["id"], key=task_number)
        found[key] = task
        told += [f"{task['id']}: {note}" for note in lost]
    return found


def _numbered(
    tasks: Mapping[_Key, dict[str, Any]],
    past: Mapping[_Key, Document],
    told: list[str],
    conflicts: list[str],
    *,
    whole: bool,
) -> None:
    """Give another number to tasks whose number is taken.

    The one that was there first keeps it; else one that was begun, since commits, claims and agents know it
    by its number; else the one with the lesser identity.
    """

    def claim(key: _Key) -> tuple[int, bool, bool, str]:
        task = tasks[key]
        fresh = key not in past or past[key]["id"] != task["id"]
        return task_number(task["id"]), fresh, task.get("status") == "todo", repr(key)

    used = {task_number(task["id"]) for task in tasks.values()}
    held: set[int] = set()
    for key in sorted(tasks, key=claim):
        task = tasks[key]
        number = task_number(task["id"])
        if number not in held:
            held.add(number)
            continue
        free = _free(number, used, whole=whole)
        if free is None:
            conflicts.append(json_pointer(("tasks", task["id"])))
            continue
        used.add(free)
        held.add(free)
        note = f"merged: was also {task['id']}, a number that another task has"
        told.append(f"{task_id_for(free)}: {note}")
        task["id"] = task_id_for(free)
        if isinstance(task.get("notes"), list):
            task["notes"] = [*task["notes"], note]


def _free(number: int, used: Iterable[int], *, whole: bool) -> int | None:
    """The next free number on the page of a number; when there is none, one beyond all pages or None."""
    first = (number - 1) // PAGE_SIZE * PAGE_SIZE + 1
    page = {item for item in used if first <= item < first + PAGE_SIZE}
    after = max(page) + 1
    if after < first + PAGE_SIZE:
        return after
    gaps = (gap for gap in range(first, first + PAGE_SIZE) if gap not in page)
    return next(gaps, max(used) + 1 if whole else None)


def _referring(tasks: Iterable[Document]) -> dict[_Key, dict[str, Any]]:
    """Tasks by identity. Their dependencies name identities, too, where a number says which one is meant."""
    found = {_key(name): dict(task) for name, task in items_by_identity(tasks, _identity).items()}
    owners: dict[str, list[_Key]] = {}
    for key, task in found.items():
        owners.setdefault(task["id"], []).append(key)
    named = {number: _reference(keys_[0]) for number, keys_ in owners.items() if len(keys_) == 1}
    for task in found.values():
        if isinstance(task.get("dependencies"), list):
            task["dependencies"] = [named.get(name, name) for name in task["dependencies"]]
    return found


def _with_ids(
    tasks: Mapping[_Key, Document], sides: Iterable[Mapping[_Key, Document]]
) -> list[dict[str, Any]]:
    """The tasks by number, with dependencies as they are written."""
    ids = {_reference(key): task["id"] for side in sides for key, task in side.items()}
    ids |= {_reference(key): task["id"] for key, task in tasks.items()}
    found = []
    for key in sorted(tasks, key=lambda item: (task_number(tasks[item]["id"]), repr(item))):
        task = dict(tasks[key])
        if isinstance(task.get("dependencies"), list):
            task["dependencies"] = list(dict.fromkeys(ids.get(name, name) for name in task["dependencies"]))
        found.append(task)
    return found


def _identity(task: Document) -> str:
    return str(task.get("uid") or task["id"])


def _key(name: object) -> _Key:
    assert isinstance(name, tuple)
    return name[0], name[1]


def _reference(key: _Key) -> str:
    return f"{key[0]} {key[1]}"
