"""Three-way merge of JSON documents: objects key by key, plans task by task. Pure.

The two sides are sorted by their canonical forms first, so that the result does not depend on their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner.rules import refnames
from git_planner.rules.documents.canonical_json import compact
from git_planner.rules.documents.canonical_json import digest as json_digest
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

# The fields of a plan's origin are merged as a unit.
_ORIGIN = ("created_at", "base", "base_ref")
_SETS = ("constraints", "acceptance")
# Answers and measurements are never merged field by field.
_PLANNING_PLAN = "git-planner/planning-plan@1"
_NOISE = "git-planner/noise@1"

Document = Mapping[str, Any]
_Key = tuple[object, int]


@dataclass(frozen=True, slots=True)
class MergeResult:
    """The result of a merge.

    Args:
        document: the merged document; at a place named in `conflicts` it has the value of one side.
        notes: one sentence for each value that was overridden or task that was renumbered.
        conflicts: JSON pointers to values that both sides changed differently, for a person to resolve.
    """

    document: Any
    notes: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


def merge_documents(base: Any, ours: Any, theirs: Any, *, complete: bool = False) -> MergeResult:
    """Merge two versions of a document. Values of a task that are overridden become notes.

    Args:
        base: the common ancestor; None if there is none.
        ours, theirs: the two versions, in any order.
        complete: plans are complete, not single pages, so that a task whose number is taken may get any free
            number. Otherwise it must stay on its page, and a full page is a conflict.
    """
    one, other = sorted((ours, theirs), key=compact)
    if is_same_json(one, other) or is_same_json(base, one):
        return MergeResult(other)
    if is_same_json(base, other):
        return MergeResult(one)
    if all(isinstance(side, dict) and side.get("schema") == SCHEMA for side in (one, other)):
        return _merge_plans(base if isinstance(base, dict) else {}, one, other, complete=complete)
    if all(isinstance(side, dict) and side.get("schema") == _PLANNING_PLAN for side in (one, other)):
        # The one that the merged plan names, see `_merge_planning_plan`.
        return MergeResult(min(one, other, key=json_digest))
    if all(isinstance(side, dict) and side.get("schema") == _NOISE for side in (one, other)):
        return MergeResult(max(one, other, key=lambda side: str(side.get("created_at"))))
    conflicts: list[str] = []
    document = merge_value(ABSENT if base is None else base, one, other, (), conflicts)
    return MergeResult(document, (), tuple(conflicts))


def merge_duplicates(plan: Document) -> MergeResult:
    """Merge the tasks of a complete plan that have the same uid, and renumber those with the same number.

    Git's line-based merge produces such plans: it may place a new task between the lines of another one, so
    that two new tasks, or one that both sides have, follow each other without a conflict.
    """
    if find_repeated(plan["tasks"]) is None:
        return MergeResult(plan)
    notes: list[str] = []
    by_uid: dict[str, Any] = {}
    for task in sorted(plan["tasks"], key=compact):
        known = by_uid.get(_uid(task))
        if known is None:
            by_uid[_uid(task)] = task
            continue
        merged, lost = merge_task(None, known, task)
        by_uid[_uid(task)] = {**merged, "id": min(known["id"], task["id"], key=task_number)}
        notes += [f"{task['id']}: was there twice", *(f"{task['id']}: {note}" for note in lost)]
    tasks = _by_key(by_uid.values())
    before = {key: dict(task) for key, task in tasks.items()}
    _renumber(tasks, {}, notes, [], complete=True)
    return MergeResult({**plan, "tasks": _with_ids(tasks, [before])}, tuple(notes))


def _merge_plans(past: Document, one: Document, other: Document, *, complete: bool) -> MergeResult:
    conflicts: list[str] = []
    plan = _merge_origin(past, one, other, conflicts)
    for key in all_keys(one, other):
        was, left, right = (side.get(key, ABSENT) for side in (past, one, other))
        if key == "tasks" or key in _ORIGIN:
            continue
        if key in _SETS and isinstance(left, list) and isinstance(right, list):
            plan[key] = _merge_set(was if isinstance(was, list) else [], left, right)
        elif key == "planning_plan":
            plan[key] = _merge_planning_plan(was, left, right)
        else:
            plan[key] = merge_value(was, left, right, (key,), conflicts)
    notes: list[str] = []
    sides = [_by_key(side.get("tasks", [])) for side in (past, one, other)]
    tasks = _merge_tasks(sides[0], sides[1], sides[2], notes)
    _renumber(tasks, sides[0], notes, conflicts, complete=complete)
    plan["tasks"] = _with_ids(tasks, sides)
    return MergeResult(
        {key: item for key, item in plan.items() if item is not ABSENT}, tuple(notes), tuple(conflicts)
    )


def _merge_set(was: Sequence[Any], left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
    try:
        return list(pick_changed(was, left, right))
    except LookupError:
        return merge_list(was, left, right)


def _merge_planning_plan(was: Any, left: Any, right: Any) -> Any:
    """Return the digest of the planning plan; the lesser one if both changed it, as in `merge_documents`."""
    try:
        return pick_changed(was, left, right)
    except LookupError:
        return min(digest for digest in (left, right) if isinstance(digest, str))


def _merge_origin(past: Document, one: Document, other: Document, conflicts: list[str]) -> dict[str, Any]:
    """Return the fields of the plan's origin; the older one if both sides created the plan."""
    was, left, right = ({key: side.get(key) for key in _ORIGIN} for side in (past, one, other))
    try:
        return dict(pick_changed(was, left, right))
    except LookupError:
        if past:
            conflicts += [f"/{key}" for key in _ORIGIN if not is_same_json(left[key], right[key])]
    return left if str(left["created_at"]) <= str(right["created_at"]) else right


def _merge_tasks(
    past: Mapping[_Key, Document],
    left: Mapping[_Key, Document],
    right: Mapping[_Key, Document],
    notes: list[str],
) -> dict[_Key, dict[str, Any]]:
    """Merge the tasks of both sides, by identity; two tasks may still have the same number."""
    tasks: dict[_Key, dict[str, Any]] = {}
    for key in dict.fromkeys([*left, *right]):
        was, one, other = past.get(key), left.get(key), right.get(key)
        if one is None or other is None:
            kept = one or other
            assert kept is not None
            # Removed on one side: dropped, unless the other side changed it.
            if was is None or not is_same_json(was, kept):
                tasks[key] = dict(kept)
            continue
        task, lost = merge_task(was, one, other)
        try:
            task["id"] = pick_changed(was["id"] if was else ABSENT, one["id"], other["id"])
        except LookupError:
            task["id"] = min(one["id"], other["id"], key=task_number)
        tasks[key] = task
        notes += [f"{task['id']}: {note}" for note in lost]
    return tasks


def _renumber(
    tasks: Mapping[_Key, dict[str, Any]],
    past: Mapping[_Key, Document],
    notes: list[str],
    conflicts: list[str],
    *,
    complete: bool,
) -> None:
    """Give another number to tasks whose number is taken.

    The older task keeps the number; else one that was started, since commits, claims and agents refer to it
    by its number; else the one with the lesser identity.
    """

    def precedence(key: _Key) -> tuple[int, bool, bool, str]:
        task = tasks[key]
        fresh = key not in past or past[key]["id"] != task["id"]
        return task_number(task["id"]), fresh, task.get("status") == "todo", repr(key)

    used = {task_number(task["id"]) for task in tasks.values()}
    taken: set[int] = set()
    for key in sorted(tasks, key=precedence):
        task = tasks[key]
        number = task_number(task["id"])
        if number not in taken:
            taken.add(number)
            continue
        free = _free_number(number, used, complete=complete)
        if free is None:
            conflicts.append(json_pointer(("tasks", task["id"])))
            continue
        used.add(free)
        taken.add(free)
        note = f"merged: was also {task['id']}, the number of another task"
        notes.append(f"{task_id_for(free)}: {note}")
        task["id"] = task_id_for(free)
        if isinstance(task.get("notes"), list):
            task["notes"] = [*task["notes"], note]


def _free_number(number: int, used: Iterable[int], *, complete: bool) -> int | None:
    """Return the next free number on the page of `number`; for a full page one beyond all pages, or None."""
    first = (number - 1) // PAGE_SIZE * PAGE_SIZE + 1
    page = {taken for taken in used if first <= taken < first + PAGE_SIZE}
    after = max(page) + 1
    if after < first + PAGE_SIZE:
        return after
    gaps = (gap for gap in range(first, first + PAGE_SIZE) if gap not in page)
    return next(gaps, refnames.next_number(used) if complete else None)


def _by_key(tasks: Iterable[Document]) -> dict[_Key, dict[str, Any]]:
    """Return tasks by identity, with dependencies replaced by identities where the number is unambiguous."""
    by_key = {_as_key(name): dict(task) for name, task in items_by_identity(tasks, _uid).items()}
    owners: dict[str, list[_Key]] = {}
    for key, task in by_key.items():
        owners.setdefault(task["id"], []).append(key)
    named = {number: _reference(keys_[0]) for number, keys_ in owners.items() if len(keys_) == 1}
    for task in by_key.values():
        if isinstance(task.get("dependencies"), list):
            task["dependencies"] = [named.get(name, name) for name in task["dependencies"]]
    return by_key


def _with_ids(
    tasks: Mapping[_Key, Document], sides: Iterable[Mapping[_Key, Document]]
) -> list[dict[str, Any]]:
    """Return the tasks by number, with task ids as dependencies."""
    ids = {_reference(key): task["id"] for side in sides for key, task in side.items()}
    ids |= {_reference(key): task["id"] for key, task in tasks.items()}
    documents = []
    for key in sorted(tasks, key=lambda item: (task_number(tasks[item]["id"]), repr(item))):
        task = dict(tasks[key])
        if isinstance(task.get("dependencies"), list):
            task["dependencies"] = list(dict.fromkeys(ids.get(name, name) for name in task["dependencies"]))
        documents.append(task)
    return documents


def _uid(task: Document) -> str:
    return str(task.get("uid") or task["id"])


def _as_key(name: object) -> _Key:
    assert isinstance(name, tuple)
    return name[0], name[1]


def _reference(key: _Key) -> str:
    return f"{key[0]} {key[1]}"
