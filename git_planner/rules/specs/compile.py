"""Compile the items of a spec change to tasks: new ones are added, existing ones keep their progress. Pure.

The spec defines a task, the plan its progress. Compiling again overwrites title, intent, actions, scopes,
acceptance, risks and references, and the verify commands if the spec names any. It also overwrites the
dependencies, except for those on tasks of other changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from git_planner.rules.specs.change import TASKS, SpecChange, change_folder
from git_planner.rules.specs.items import SpecItem
from git_planner.rules.specs.overrides import Overrides
from git_planner.rules.tasks.task import (
    SpecOrigin,
    Task,
    TaskEvidence,
    derive_uid,
    new_numbers,
    task_id_for,
    task_number,
)
from git_planner.rules.tasks.transitions import TRANSITIONS, add_evidence, move_task, requeue_task

EffectKind = Literal["added", "changed", "done", "reopened", "restored", "cancelled", "kept", "refused"]
KINDS: tuple[EffectKind, ...] = (
    "added",
    "changed",
    "done",
    "reopened",
    "restored",
    "cancelled",
    "kept",
    "refused",
)


@dataclass(frozen=True, slots=True)
class CompileEffect:
    """The effect of compiling on a task. Tasks that are 'kept' or 'refused' do not change."""

    kind: EffectKind
    task: str
    title: str
    detail: str = ""

    def document(self) -> dict[str, str]:
        """Return the effect as a JSON document."""
        return {"kind": self.kind, "task": self.task, "title": self.title, "words": self.detail}


@dataclass(frozen=True, slots=True)
class CompileStamp:
    """The author and time of a compilation: UTC time as 'YYYY-MM-DDTHH:MM:SSZ'."""

    at: str
    by: str


@dataclass(frozen=True, slots=True)
class CompileDefaults:
    """The overrides, and the verify commands for tasks without any."""

    overrides: Overrides
    verify: tuple[tuple[str, ...], ...] = ()


def merge_change(
    tasks: Sequence[Task], change: SpecChange, defaults: CompileDefaults, stamp: CompileStamp
) -> tuple[list[Task], list[CompileEffect]]:
    """Merge a change into the tasks of a plan.

    Args:
        tasks: all tasks of the plan.
        change: a change without faults.

    Returns:
        All tasks, existing ones first and in order; and the effects, in the order of the items.
    """
    known = {task.spec.key: task for task in tasks if task.spec and task.spec.change == change.slug}
    ids = _ids(tasks, known, change.items)
    own = set(ids.values()) | {task.id for task in known.values()}
    result = {task.id: task for task in tasks}
    effects: list[CompileEffect] = []
    for item in change.items:
        before = known.get(item.key)
        kept = set(before.dependencies if before else ()) - own
        after = {*(ids[key] for key in item.after), *kept}
        fields = _spec_fields(before, item, ids[item.key], after, defaults)
        if before is None:
            spec, uid = SpecOrigin(change.slug, item.key), derive_uid("spec", change.slug, item.key)
            defined = Task(id=ids[item.key], uid=uid, spec=spec, **fields)
            effects.append(CompileEffect("added", defined.id, defined.title))
        elif (defined := before._replace(**fields)) != before:
            effects.append(CompileEffect("changed", defined.id, defined.title, _differences(before, defined)))
        result[defined.id] = _apply_box(defined, item, change.slug, stamp, effects)
    written = {item.key for item in change.items}
    for key, task in known.items():
        if key not in written:
            result[task.id] = _remove_task(task, change.slug, effects)
    return list(result.values()), effects


def task_ids(tasks: Sequence[Task], change: SpecChange) -> dict[str, SpecItem]:
    """Return the items of a change by the task id that they have in a plan, or will get."""
    known = {task.spec.key: task for task in tasks if task.spec and task.spec.change == change.slug}
    ids = _ids(tasks, known, change.items)
    return {ids[item.key]: item for item in change.items}


def _ids(tasks: Sequence[Task], known: Mapping[str, Task], items: Sequence[SpecItem]) -> dict[str, str]:
    numbers = new_numbers(task.number for task in tasks)
    ids = {}
    for item in items:
        if item.key in known:
            ids[item.key] = known[item.key].id
        else:
            ids[item.key] = task_id_for(next(numbers))
    return ids


def _spec_fields(
    before: Task | None, item: SpecItem, own_id: str, after: set[str], defaults: CompileDefaults
) -> dict[str, Any]:
    """Return the fields of a task that the spec defines."""
    defined = defaults.overrides.applied(item, own_id)
    return {
        "title": defined.title,
        "intent": defined.intent,
        "actions": defined.actions,
        "read_scope": defined.read_scope,
        "write_scope": defined.write_scope,
        "dependencies": tuple(sorted(after, key=task_number)),
        "acceptance": defined.acceptance,
        "verify": defined.verify or (before.verify if before else ()) or defaults.verify,
        "risks": defined.risks,
        "references": defined.references,
    }


def _differences(before: Task, after: Task) -> str:
    names = (name.replace("_", " ") for name in Task._fields if getattr(before, name) != getattr(after, name))
    return ", ".join(names)


def _apply_box(
    task: Task, item: SpecItem, slug: str, stamp: CompileStamp, effects: list[CompileEffect]
) -> Task:
    """Update the status of a task from its box."""
    if task.status == "cancelled" and task.reason == _removal_reason(slug):
        task = requeue_task(task)
        effects.append(CompileEffect("restored", task.id, task.title, "it is in the spec again"))
    note = f"its box is ticked in {change_folder(slug)}/{TASKS}"
    if not item.ticked:
        return _apply_empty_box(task, slug, note, effects)
    if task.status == "done":
        return task
    if "done" not in TRANSITIONS[task.status]:
        detail = f"its box is ticked, but it is {task.status}"
        effects.append(CompileEffect("refused", task.id, task.title, detail))
        return task
    evidence = TaskEvidence("manual", stamp.at, stamp.by, task.attempt, None, None, ok=True, note=note)
    effects.append(CompileEffect("done", task.id, task.title, "its box is ticked"))
    return move_task(add_evidence(task, evidence), "done")


def _apply_empty_box(task: Task, slug: str, note: str, effects: list[CompileEffect]) -> Task:
    """Requeue a done task without a tick if a tick was its only evidence.

    The evidence stays with its attempt.
    """
    passed = [evidence for evidence in task.evidence if evidence.attempt == task.attempt and evidence.ok]
    if task.status != "done" or not passed or any(evidence.note != note for evidence in passed):
        return task
    effects.append(CompileEffect("reopened", task.id, task.title, "its box is no longer ticked"))
    return requeue_task(task, f"its box is no longer ticked in {change_folder(slug)}/{TASKS}")


def _remove_task(task: Task, slug: str, effects: list[CompileEffect]) -> Task:
    """Cancel a task whose item is no longer in the spec, unless it was started."""
    if task.status == "cancelled":
        return task
    started = task.attempt > 1 or task.owner or task.run or task.commits or task.evidence or task.inputs
    if started or task.status not in ("todo", "blocked", "deferred"):
        detail = f"it is no longer in the spec, but it is {task.status}"
        effects.append(CompileEffect("kept", task.id, task.title, detail))
        return task
    effects.append(CompileEffect("cancelled", task.id, task.title, "it is no longer in the spec"))
    return move_task(task, "cancelled", reason=_removal_reason(slug))


def _removal_reason(slug: str) -> str:
    return f"no longer in {change_folder(slug)}/{TASKS}"
