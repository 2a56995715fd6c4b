"""Merging the two versions of one task, field by field. Pure.

A task's fields are lists that grow, lists that people edit, its life (who works on it and how far it is) and
the rest. Nothing that a side said is lost: a value that gives way stays as a note on the task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from git_planner.rules.documents.merge_values import (
    ABSENT,
    all_keys,
    is_same_json,
    items_by_identity,
    merge_list,
    pick_changed,
    sorted_by_time,
    union,
)

TaskDocument = Mapping[str, Any]

# Only ever grow, and their last item counts.
GROWING = ("evidence", "notes")
# Belongs to one attempt, and goes with it when the other side has begun another.
LIFE = ("attempt", "status", "reason", "owner", "run", "base", "branch")
# How far a task is. A decision of a person's (deferred, cancelled) outweighs what leads up to it.
_RANK = {
    status: rank
    for rank, status in enumerate(
        (
            "todo",
            "in_progress",
            "blocked",
            "needs_input",
            "agent_done",
            "review_ready",
            "deferred",
            "cancelled",
            "done",
        )
    )
}


def merge_task(
    base: TaskDocument | None, one: TaskDocument, other: TaskDocument
) -> tuple[dict[str, Any], list[str]]:
    """Merge two versions of a task; `id` is left to whoever hands out numbers.

    Args:
        base: the version that both come from; None when there is none.
        one, other: the versions, in an order that does not depend on who merges.

    Returns:
        The task, and what gave way, one note each; they are among its notes, too.
    """
    if is_same_json(one, other) or is_same_json(base, one):
        return dict(other), []
    if is_same_json(base, other):
        return dict(one), []
    past = base or {}
    lost: list[str] = []
    found: dict[str, Any] = {}
    for field in all_keys(one, other):
        was, left, right = (side.get(field, ABSENT) for side in (past, one, other))
        if isinstance(left, list) and isinstance(right, list):
            found[field] = _list(field, was if isinstance(was, list) else [], left, right, lost)
        elif field not in LIFE:
            merged = _kept(field, was, left, right, lost)
            if merged is not ABSENT:
                found[field] = merged
    found |= _life(past, one, other, found.get("evidence"), lost)
    notes = found.get("notes", [])
    fresh = [note for note in dict.fromkeys(lost) if note not in notes]
    if fresh:
        found["notes"] = [*notes, *fresh]
    return found, fresh


def _list(
    field: str, was: Sequence[Any], left: Sequence[Any], right: Sequence[Any], lost: list[str]
) -> list[Any]:
    try:
        return list(pick_changed(was, left, right))
    except LookupError:
        pass
    if field == "inputs":
        return _questions(left, right, lost)
    if field in GROWING:
        whole = union(left, right)
        return sorted_by_time(whole) if field == "evidence" else whole
    return merge_list(was, left, right)


def _questions(left: Sequence[Any], right: Sequence[Any], lost: list[str]) -> list[Any]:
    """Questions of both sides, oldest first; one that a side answered is answered."""
    asked: dict[object, Any] = {}
    for side in (left, right):
        for name, question in items_by_identity(side, _asked).items():
            known = asked.get(name)
            if known is None or known["answer"] is None:
                asked[name] = question
            elif question["answer"] is not None and not is_same_json(known["answer"], question["answer"]):
                reply = question["answer"]
                lost.append(f"merged: {reply['by']} also answered '{question['summary']}': {reply['text']}")
    return sorted_by_time(asked.values())


def _asked(question: Mapping[str, Any]) -> object:
    return (question["at"], question["by"], question["summary"])


def _kept(field: str, was: Any, left: Any, right: Any, lost: list[str]) -> Any:
    """One of two values; the other one becomes a note unless it says nothing."""
    try:
        return pick_changed(was, left, right)
    except LookupError:
        pass
    if left is ABSENT or left is None:
        return right
    if right is not ABSENT and right is not None and field != "id":
        lost.append(f"merged: {field} was also {_shown(right)}")
    return left


def _life(
    past: TaskDocument, one: TaskDocument, other: TaskDocument, evidence: Any, lost: list[str]
) -> dict[str, Any]:
    """The fields that tell who works on a task and how far it is."""
    numbers = [side.get("attempt", 1) for side in (one, other)]
    if numbers[0] != numbers[1]:
        later, earlier = (one, other) if numbers[0] > numbers[1] else (other, one)
        if any(not is_same_json(past.get(field), earlier.get(field)) for field in LIFE):
            lost.append(f"merged: attempt {earlier.get('attempt', 1)} had come to {_stand(earlier)}")
        return {field: later[field] for field in LIFE if field in later}
    ahead, behind = _ahead(past, one, other, evidence)
    if not any(is_same_json(_status(behind), _status(side)) for side in (ahead, past)):
        lost.append(f"merged: status was also {_stand(behind)}")
    found = {field: ahead[field] for field in ("attempt", "status", "reason") if field in ahead}
    for field in ("owner", "run", "base", "branch"):
        was, left, right = (side.get(field, ABSENT) for side in (past, ahead, behind))
        try:
            merged = pick_changed(was, left, right)
        except LookupError:
            # Nobody owns a task that is done: here nothing is an answer, too.
            merged = left
            if right is not ABSENT and right is not None:
                lost.append(f"merged: {field} was also {_shown(right)}")
        if merged is not ABSENT:
            found[field] = merged
    return found


def _ahead(
    past: TaskDocument, one: TaskDocument, other: TaskDocument, evidence: Any
) -> tuple[TaskDocument, TaskDocument]:
    """The side whose status stands, and the other one."""
    proven = _proven(evidence, one.get("attempt", 1))
    for ahead, behind in ((one, other), (other, one)):
        # Nobody's word is enough: when evidence against it came from the other side, done is not done.
        if behind.get("status") == "done" != ahead.get("status") and not proven:
            return ahead, behind
    for ahead, behind in ((one, other), (other, one)):
        if is_same_json(_status(past), _status(behind)):
            return ahead, behind
    return (one, other) if _standing(one) >= _standing(other) else (other, one)


def _standing(task: TaskDocument) -> tuple[int, bool]:
    return _RANK.get(task.get("status", ""), -1), bool(task.get("reason"))


def _status(task: TaskDocument) -> list[Any]:
    return [task.get("status"), task.get("reason")]


def _proven(evidence: Any, attempt: int) -> bool:
    """Whether the last evidence of an attempt speaks for it; true where tasks carry none at all."""
    if evidence is None:
        return True
    own = [item for item in evidence if item.get("attempt") == attempt]
    return bool(own) and own[-1].get("ok") is True


def _stand(task: TaskDocument) -> str:
    words = f"'{task.get('status')}'"
    if task.get("reason"):
        words += f" ({task['reason']})"
    return words + (f", owner '{task['owner']}'" if task.get("owner") else "")


def _shown(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
