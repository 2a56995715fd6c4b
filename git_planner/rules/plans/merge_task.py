"""Merge two versions of a task, field by field. Pure.

The fields of a task are append-only lists, lists that people edit, its progress (owner, status, attempt) and
the rest. Nothing is lost: a value that is overridden becomes a note of the task.
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

# Append-only lists, whose last item counts.
APPEND_ONLY = ("evidence", "notes")
# Fields of one attempt; dropped with it if the other side has started another attempt.
PROGRESS = ("attempt", "status", "reason", "owner", "run", "base", "branch")
# Rank of a status. A person's decision (deferred, cancelled) outranks work in progress.
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
    """Merge two versions of a task; the caller chooses the `id`.

    Args:
        base: the common ancestor; None if there is none.
        one, other: the versions, in canonical order.

    Returns:
        The task, and a note for each overridden value; they are among the notes of the task, too.
    """
    if is_same_json(one, other) or is_same_json(base, one):
        return dict(other), []
    if is_same_json(base, other):
        return dict(one), []
    past = base or {}
    lost: list[str] = []
    task: dict[str, Any] = {}
    for field in all_keys(one, other):
        was, left, right = (side.get(field, ABSENT) for side in (past, one, other))
        if isinstance(left, list) and isinstance(right, list):
            task[field] = _merge_list(field, was if isinstance(was, list) else [], left, right, lost)
        elif field not in PROGRESS:
            merged = _merge_value(field, was, left, right, lost)
            if merged is not ABSENT:
                task[field] = merged
    task |= _merge_progress(past, one, other, task.get("evidence"), lost)
    notes = task.get("notes", [])
    fresh = [note for note in dict.fromkeys(lost) if note not in notes]
    if fresh:
        task["notes"] = [*notes, *fresh]
    return task, fresh


def _merge_list(
    field: str, was: Sequence[Any], left: Sequence[Any], right: Sequence[Any], lost: list[str]
) -> list[Any]:
    try:
        return list(pick_changed(was, left, right))
    except LookupError:
        pass
    if field == "inputs":
        return _merge_questions(left, right, lost)
    if field in APPEND_ONLY:
        items = union(left, right)
        return sorted_by_time(items) if field == "evidence" else items
    return merge_list(was, left, right)


def _merge_questions(left: Sequence[Any], right: Sequence[Any], lost: list[str]) -> list[Any]:
    """Return the questions of both sides, oldest first, with the answer of either side."""
    questions: dict[object, Any] = {}
    for side in (left, right):
        for name, question in items_by_identity(side, _question_key).items():
            known = questions.get(name)
            if known is None or known["answer"] is None:
                questions[name] = question
            elif question["answer"] is not None and not is_same_json(known["answer"], question["answer"]):
                reply = question["answer"]
                lost.append(f"merged: {reply['by']} also answered '{question['summary']}': {reply['text']}")
    return sorted_by_time(questions.values())


def _question_key(question: Mapping[str, Any]) -> object:
    return (question["at"], question["by"], question["summary"])


def _merge_value(field: str, was: Any, left: Any, right: Any, lost: list[str]) -> Any:
    """Return one of two values; the other one becomes a note unless it is empty."""
    try:
        return pick_changed(was, left, right)
    except LookupError:
        pass
    if left is ABSENT or left is None:
        return right
    if right is not ABSENT and right is not None and field != "id":
        lost.append(f"merged: {field} was also {_quoted(right)}")
    return left


def _merge_progress(
    past: TaskDocument, one: TaskDocument, other: TaskDocument, evidence: Any, lost: list[str]
) -> dict[str, Any]:
    """Merge the fields of PROGRESS."""
    numbers = [side.get("attempt", 1) for side in (one, other)]
    if numbers[0] != numbers[1]:
        later, earlier = (one, other) if numbers[0] > numbers[1] else (other, one)
        if any(not is_same_json(past.get(field), earlier.get(field)) for field in PROGRESS):
            lost.append(f"merged: attempt {earlier.get('attempt', 1)} had reached {_status_text(earlier)}")
        return {field: later[field] for field in PROGRESS if field in later}
    ahead, behind = _ahead(past, one, other, evidence)
    if not any(is_same_json(_status(behind), _status(side)) for side in (ahead, past)):
        lost.append(f"merged: status was also {_status_text(behind)}")
    progress = {field: ahead[field] for field in ("attempt", "status", "reason") if field in ahead}
    for field in ("owner", "run", "base", "branch"):
        was, left, right = (side.get(field, ABSENT) for side in (past, ahead, behind))
        try:
            merged = pick_changed(was, left, right)
        except LookupError:
            # None is meaningful here: a task that is done has no owner.
            merged = left
            if right is not ABSENT and right is not None:
                lost.append(f"merged: {field} was also {_quoted(right)}")
        if merged is not ABSENT:
            progress[field] = merged
    return progress


def _ahead(
    past: TaskDocument, one: TaskDocument, other: TaskDocument, evidence: Any
) -> tuple[TaskDocument, TaskDocument]:
    """Return the side whose status wins, and the other one."""
    proven = _proven(evidence, one.get("attempt", 1))
    for ahead, behind in ((one, other), (other, one)):
        # A task is not done if the other side adds evidence against it.
        if behind.get("status") == "done" != ahead.get("status") and not proven:
            return ahead, behind
    for ahead, behind in ((one, other), (other, one)):
        if is_same_json(_status(past), _status(behind)):
            return ahead, behind
    return (one, other) if _precedence(one) >= _precedence(other) else (other, one)


def _precedence(task: TaskDocument) -> tuple[int, bool]:
    return _RANK.get(task.get("status", ""), -1), bool(task.get("reason"))


def _status(task: TaskDocument) -> list[Any]:
    return [task.get("status"), task.get("reason")]


def _proven(evidence: Any, attempt: int) -> bool:
    """Return whether the last evidence of an attempt has passed; true for documents without evidence."""
    if evidence is None:
        return True
    own = [item for item in evidence if item.get("attempt") == attempt]
    return bool(own) and own[-1].get("ok") is True


def _status_text(task: TaskDocument) -> str:
    text = f"'{task.get('status')}'"
    if task.get("reason"):
        text += f" ({task['reason']})"
    return text + (f", owner '{task['owner']}'" if task.get("owner") else "")


def _quoted(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
