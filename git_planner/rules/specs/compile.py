"""From a change's items to tasks of a plan: new ones are added, known ones keep what became of them. Pure.

The spec says what a task is, the plan where it stands. When a task is compiled again, title, intent, actions,
scopes, acceptance, risks and references are the spec's. So are the verify commands where it names any; else
those that the task has stay. What it waits for is the spec's, too, besides tasks that are not of this change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from git_planner.rules.specs.change import TASKS, SpecChange, change_folder
from git_planner.rules.specs.items import SpecItem
from git_planner.rules.specs.overrides import Overrides
from git_planner.rules.tasks.task import SpecOrigin, Task, TaskEvidence, derive_uid, task_id_for, task_number
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
    """What compiling did to a task. 'kept' and 'refused' are about tasks that it left as they were."""

    kind: EffectKind
    task: str
    title: str
    words: str = ""

    def document(self) -> dict[str, str]:
        """The effect as JSON."""
        return {"kind": self.kind, "task": self.task, "title": self.title, "words": self.words}


@dataclass(frozen=True, slots=True)
class CompileStamp:
    """Who compiles, and when: UTC time as 'YYYY-MM-DDTHH:MM:SSZ'."""

    at: str
    by: str


@dataclass(frozen=True, slots=True)
class CompileDefaults:
    """What else decides about a task: the overrides, and the commands for tasks that are given none."""

    overrides: Overrides
    verify: tuple[tuple[str, ...], ...] = ()


def merge_change(
    tasks: Sequence[Task], change: SpecChange, wishes: CompileDefaults, stamp: CompileStamp
) -> tuple[list[Task], list[CompileEffect]]:
    """The tasks of a plan after a change was compiled into it.

    Args:
        tasks: all tasks of the plan.
        change: a change without faults.

    Returns:
        All tasks, those of before in their order; and what was done, in the order of the items.
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
        fields = _defined(before, item, ids[item.key], after, wishes)
        if before is None:
            spec, uid = SpecOrigin(change.slug, item.key), derive_uid("spec", change.slug, item.key)
            defined = Task(id=ids[item.key], uid=uid, spec=spec, **fields)
            effects.append(CompileEffect("added", defined.id, defined.title))
        elif (defined := before._replace(**fields)) != before:
            effects.append(CompileEffect("changed", defined.id, defined.title, _differences(before, defined)))
        result[defined.id] = _settled(defined, item, change.slug, stamp, effects)
    written = {item.key for item in change.items}
    for key, task in known.items():
        if key not in written:
            result[task.id] = _gone(task, change.slug, effects)
    return list(result.values()), effects


def task_ids(tasks: Sequence[Task], change: SpecChange) -> dict[str, SpecItem]:
    """The ids that the items of a change have in a plan, or get when they are compiled into it."""
    known = {task.spec.key: task for task in tasks if task.spec and task.spec.change == change.slug}
    ids = _ids(tasks, known, change.items)
    return {ids[item.key]: item for item in change.items}


def _ids(tasks: Sequence[Task], known: Mapping[str, Task], items: Sequence[SpecItem]) -> dict[str, str]:
    number = max((task.number for task in tasks), default=0)
    ids = {}
    for item in items:
        if item.key in known:
            ids[item.key] = known[item.key].id
        else:
            number += 1
            ids[item.key] = task_id_for(number)
    return ids


def _defined(
    before: Task | None, item: SpecItem, own_id: str, after: set[str], wishes: CompileDefaults
) -> dict[str, Any]:
    """All that the spec says about a task, by field."""
    said = wishes.overrides.applied(item, own_id)
    return {
        "title": said.title,
        "intent": said.intent,
        "actions": said.actions,
        "read_scope": said.read_scope,
        "write_scope": said.write_scope,
        "dependencies": tuple(sorted(after, key=task_number)),
        "acceptance": said.acceptance,
        "verify": said.verify or (before.verify if before else ()) or wishes.verify,
        "risks": said.risks,
        "references": said.references,
    }


def _differences(before: Task, after: Task) -> str:
    names = (name.replace("_", " ") for name in Task._fields if getattr(before, name) != getattr(after, name))
    return ", ".join(names)


def _settled(
    task: Task, item: SpecItem, slug: str, stamp: CompileStamp, effects: list[CompileEffect]
) -> Task:
    """A task whose status fits its box."""
    if task.status == "cancelled" and task.reason == _gone_reason(slug):
        task = requeue_task(task)
        effects.append(CompileEffect("restored", task.id, task.title, "it is in the spec again"))
    note = f"its box is ticked in {change_folder(slug)}/{TASKS}"
    if not item.ticked:
        return _unticked(task, slug, note, effects)
    if task.status == "done":
        return task
    if "done" not in TRANSITIONS[task.status]:
        words = f"its box is ticked, but it is {task.status}"
        effects.append(CompileEffect("refused", task.id, task.title, words))
        return task
    evidence = TaskEvidence("manual", stamp.at, stamp.by, task.attempt, None, None, ok=True, note=note)
    effects.append(CompileEffect("done", task.id, task.title, "its box is ticked"))
    return move_task(add_evidence(task, evidence), "done")


def _unticked(task: Task, slug: str, note: str, effects: list[CompileEffect]) -> Task:
    """A task without a tick; it goes back to work if nothing but a tick had said that it is done.

    The evidence stays where it is, for an attempt that is over.
    """
    spoke = [evidence for evidence in task.evidence if evidence.attempt == task.attempt and evidence.ok]
    if task.status != "done" or not spoke or any(evidence.note != note for evidence in spoke):
        return task
    effects.append(CompileEffect("reopened", task.id, task.title, "its box is no longer ticked"))
    return requeue_task(task, f"its box is no longer ticked in {change_folder(slug)}/{TASKS}")


def _gone(task: Task, slug: str, effects: list[CompileEffect]) -> Task:
    """A task whose item is no longer in the spec: cancelled when nobody has begun it."""
    if task.status == "cancelled":
        return task
    begun = task.attempt > 1 or task.owner or task.run or task.commits or task.evidence or task.inputs
    if begun or task.status not in ("todo", "blocked", "deferred"):
        words = f"it is no longer in the spec, but it is {task.status}"
        effects.append(CompileEffect("kept", task.id, task.title, words))
        return task
    effects.append(CompileEffect("cancelled", task.id, task.title, "it is no longer in the spec"))
    return move_task(task, "cancelled", reason=_gone_reason(slug))


def _gone_reason(slug: str) -> str:
    return f"no longer in {change_folder(slug)}/{TASKS}"
