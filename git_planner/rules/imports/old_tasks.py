"""Make tasks of a plan from the tasks of an older board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from git_planner.errors import PlannerError
from git_planner.rules.imports.old_board import MOST_NOTE, OldTask, inside
from git_planner.rules.tasks import transitions
from git_planner.rules.tasks.task import (
    Task,
    TaskEvidence,
    TaskQuestion,
    derive_uid,
    task_id_for,
    task_number,
)

# The folder of the board, whose files are no part of a task's work.
BOARD_FOLDER = ".codex"
_NO_QUESTION = "the older board has no text of the question; see the handoff"


@dataclass(frozen=True, slots=True)
class ImportStamp:
    """Time and author of an import, and the repository's folder."""

    at: str
    by: str
    top: str | None = None


@dataclass(frozen=True, slots=True)
class ImportedTasks:
    """New tasks of a plan, the ids of those it has by their ids on the board, and what is left out."""

    new: tuple[tuple[OldTask, Task], ...]
    known: Mapping[str, str]
    left_out: tuple[str, ...]


def board_uid(old_id: str) -> str:
    """Return the identity of a board's task, the same in every clone and import."""
    return derive_uid("session-board", old_id)


def plan_tasks(
    old_tasks: Sequence[OldTask],
    present: Sequence[Task],
    questions: Mapping[str, str],
    stamp: ImportStamp,
) -> ImportedTasks:
    """Make the tasks that a plan has not yet.

    Args:
        old_tasks: the tasks of the board.
        present: the tasks of the plan.
        questions: the questions in the handoffs, by id on the board.
        stamp: time and author.
    """
    by_uid = {task.uid: task for task in present}
    known = {old.id: by_uid[board_uid(old.id)].id for old in old_tasks if board_uid(old.id) in by_uid}
    left_out = [
        f"{old.id}: it was imported as {known[old.id]}, and has another title here: '{old.title}'"
        for old in old_tasks
        if old.id in known and by_uid[board_uid(old.id)].title != old.title
    ]
    fresh = [old for old in old_tasks if old.id not in known]
    ids = {**known, **_new_ids(fresh, {task.number for task in present})}
    graph = {task.id: list(task.dependencies) for task in present}
    new = []
    for old in fresh:
        dependencies = _dependencies(old, ids, graph, left_out)
        graph[ids[old.id]] = list(dependencies)
        task = _plain_task(old, ids[old.id], dependencies, stamp, left_out)
        new.append((old, _in_status(task, old, questions.get(old.id), stamp)))
    return ImportedTasks(tuple(new), known, tuple(left_out))


def _new_ids(fresh: Sequence[OldTask], taken: set[int]) -> dict[str, str]:
    """Give every new task the number in its id where that is free, else the next one."""
    ids: dict[str, str] = {}
    used = set(taken)
    others = []
    for old in fresh:
        number = _number(old.id)
        if number is None or number in used:
            others.append(old)
        else:
            used.add(number)
            ids[old.id] = task_id_for(number)
    number = max(used, default=0)
    for old in others:
        number += 1
        ids[old.id] = task_id_for(number)
    return {old.id: ids[old.id] for old in fresh}


def _number(old_id: str) -> int | None:
    try:
        number = task_number(old_id)
    except PlannerError:
        return None
    # A larger one would make all later numbers larger still.
    return number if number < 100_000 else None


def _dependencies(
    old: OldTask, ids: Mapping[str, str], graph: Mapping[str, Sequence[str]], left_out: list[str]
) -> tuple[str, ...]:
    by_folded = {name.casefold(): task_id for name, task_id in ids.items()}
    chosen: list[str] = []
    for name in old.dependencies:
        task_id = by_folded.get(name.casefold())
        if task_id is None:
            left_out.append(f"{old.id}: its dependency '{name}', which is not on the board")
        elif _reaches(graph, task_id, ids[old.id]):
            left_out.append(f"{old.id}: its dependency '{name}', which would make a cycle")
        else:
            chosen.append(task_id)
    return tuple(dict.fromkeys(chosen))


def _reaches(graph: Mapping[str, Sequence[str]], start: str, goal: str) -> bool:
    """Return whether a task depends on another, directly or not, or is that other one."""
    waiting, seen = [start], {start}
    while waiting:
        name = waiting.pop()
        if name == goal:
            return True
        further = [after for after in graph.get(name, ()) if after not in seen]
        seen.update(further)
        waiting += further
    return False


def _scope(
    old: OldTask, name: str, paths: Sequence[str], top: str | None, left_out: list[str]
) -> tuple[str, ...]:
    kept = []
    for path in paths:
        within = inside(path, top)
        if within is None or len(within) > 1024:
            left_out.append(f"{old.id}: '{path}' of its {name}, which lies outside the repository")
        elif within != BOARD_FOLDER and not within.startswith(f"{BOARD_FOLDER}/"):
            kept.append(within)
    return tuple(dict.fromkeys(kept))


def _plain_task(
    old: OldTask, task_id: str, dependencies: tuple[str, ...], stamp: ImportStamp, left_out: list[str]
) -> Task:
    note = f"imported from {BOARD_FOLDER}/board, where it was {old.id} and {old.old_status}"
    if old.owner:
        note += f", owned by {old.owner}"
    return Task(
        id=task_id,
        uid=board_uid(old.id),
        title=old.title,
        intent=old.intent,
        read_scope=_scope(old, "read scope", old.read_scope, stamp.top, left_out),
        write_scope=_scope(old, "write scope", old.write_scope, stamp.top, left_out),
        dependencies=dependencies,
        acceptance=old.acceptance,
        notes=(note[:MOST_NOTE], *old.notes),
    )


def _in_status(task: Task, old: OldTask, question: str | None, stamp: ImportStamp) -> Task:
    """Move a task to its status, by the transitions that every other change takes."""
    if old.status == "todo":
        return task
    if old.status == "needs_input":
        summary = old.question or question or _NO_QUESTION
        asked = TaskQuestion(stamp.at, old.owner or "the older board", summary)
        return transitions.ask_question(transitions.move_task(task, "in_progress"), asked)
    if old.status == "done":
        evidence = TaskEvidence(
            "manual", stamp.at, stamp.by, task.attempt, None, None, ok=True,
            note=f"it was {old.old_status} on the older board",
        )  # fmt: skip
        task = transitions.add_evidence(task, evidence)
    reason = old.reason
    if reason is None and old.status in ("blocked", "deferred", "cancelled"):
        reason = f"it was {old.old_status} on the older board"
    return transitions.move_task(task, old.status, reason=reason)
