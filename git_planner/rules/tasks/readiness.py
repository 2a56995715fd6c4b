"""Find the tasks that are ready to start, and write scopes that overlap. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from git_planner.rules.policy.globs import find_overlap
from git_planner.rules.tasks.task import CLOSED, Task, TaskStatus, sort_tasks

# Statuses of tasks that are being worked on.
_BUSY = frozenset(("in_progress", "needs_input"))


class SchedulableTask(Protocol):
    """The fields that decide whether a task is ready; implemented by Task and TaskSummary."""

    @property
    def id(self) -> str:
        """The task's id, such as 'task_007'."""
        ...

    @property
    def number(self) -> int:
        """The number in the id."""
        ...

    @property
    def status(self) -> TaskStatus:
        """The task's status."""
        ...

    @property
    def dependencies(self) -> Sequence[str]:
        """Ids of the tasks that must be done first."""
        ...

    @property
    def write_scope(self) -> Sequence[str]:
        """Patterns of the paths the task may change."""
        ...


TaskT = TypeVar("TaskT", bound=SchedulableTask)


@dataclass(frozen=True, slots=True)
class ScopeClash:
    """Two pieces of work with overlapping write scopes, by label, and the overlapping patterns."""

    one: str
    other: str
    patterns: tuple[str, str]


@dataclass(frozen=True, slots=True)
class ScopedWork:
    """A task, iteration or variant with the patterns it may write; `kind` and `name` are for display."""

    kind: str
    name: str
    writes: tuple[str, ...]

    @property
    def label(self) -> str:
        """The kind and name."""
        return f"{self.kind} {self.name}"


def ready_tasks(tasks: Sequence[TaskT], claimed: Collection[str] = ()) -> list[TaskT]:
    """Return the tasks that are ready to start, by number.

    A task is ready if it is todo and unclaimed, all its dependencies are done, and its write scope does not
    overlap that of a task in progress. Two ready tasks may still overlap each other.

    Args:
        tasks: all tasks of the plan.
        claimed: ids of the claimed tasks.
    """
    done = {task.id for task in tasks if task.status == "done"}
    busy = [task for task in tasks if task.write_scope and (task.status in _BUSY or task.id in claimed)]
    return [
        task
        for task in sorted(tasks, key=lambda item: item.number)
        if task.status == "todo"
        and task.id not in claimed
        and all(dependency in done for dependency in task.dependencies)
        and not any(find_overlap(task.write_scope, other.write_scope) for other in busy)
    ]


def reasons_not_ready(
    task: SchedulableTask, tasks: Sequence[SchedulableTask], claimed: Collection[str] = ()
) -> list[str]:
    """Return why a task is not ready, one sentence per reason; empty if it is ready."""
    by_id = {item.id: item for item in tasks}
    reasons = [] if task.status == "todo" else [f"it is {task.status}"]
    if task.id in claimed:
        reasons.append("it is claimed")
    for name in task.dependencies:
        other = by_id.get(name)
        if other is None:
            reasons.append(f"it depends on '{name}', which does not exist")
        elif other.status != "done":
            reasons.append(f"it depends on '{name}', which is {other.status}")
    for other in tasks:
        if other.id != task.id and (other.status in _BUSY or other.id in claimed):
            patterns = find_overlap(task.write_scope, other.write_scope)
            if patterns:
                reasons.append(f"'{other.id}' is working on '{patterns[1]}', which '{patterns[0]}' overlaps")
    return reasons


def pick_parallel(tasks: Sequence[TaskT], most: int) -> list[TaskT]:
    """Return up to `most` ready tasks whose write scopes do not overlap, the first ones first."""
    chosen: list[TaskT] = []
    for task in tasks:
        if len(chosen) == most:
            break
        if not any(find_overlap(task.write_scope, other.write_scope) for other in chosen):
            chosen.append(task)
    return chosen


def find_clashes(works: Sequence[ScopedWork], most: int) -> list[ScopeClash]:
    """Find pairs of open work whose write scopes overlap.

    Args:
        works: the open work.
        most: the largest number of pairs to return.
    """
    clashes: list[ScopeClash] = []
    for one, other in _candidates(works):
        patterns = find_overlap(one.writes, other.writes)
        if patterns:
            clashes.append(ScopeClash(one.label, other.label, patterns))
            if len(clashes) >= most:
                break
    return clashes


def find_task_clashes(tasks: Sequence[Task], most: int) -> list[ScopeClash]:
    """Find open tasks of a plan with overlapping write scopes where neither depends on the other."""
    dependencies = {task.id: task.dependencies for task in tasks}
    clashes: list[ScopeClash] = []
    works = [
        ScopedWork("task", task.id, task.write_scope)
        for task in sort_tasks(tasks)
        if task.status not in CLOSED
    ]
    for one, other in _candidates(works):
        patterns = find_overlap(one.writes, other.writes)
        ordered = _depends_on(one.name, other.name, dependencies) or _depends_on(
            other.name, one.name, dependencies
        )
        if patterns and not ordered:
            clashes.append(ScopeClash(one.label, other.label, patterns))
            if len(clashes) >= most:
                break
    return clashes


def _candidates(works: Sequence[ScopedWork]) -> Iterator[tuple[ScopedWork, ScopedWork]]:
    """Yield each pair that may overlap: patterns that start with the same folder or with a wildcard."""
    wild, by_head = set[int](), dict[str, set[int]]()
    writing = {place for place, work in enumerate(works) if work.writes}
    for place in writing:
        for head in _heads(works[place].writes):
            if set(head) & set("*?["):
                wild.add(place)
            by_head.setdefault(head, set()).add(place)
    for place in sorted(writing):
        near = (
            writing if place in wild else wild.union(*map(by_head.__getitem__, _heads(works[place].writes)))
        )
        yield from ((works[place], works[other]) for other in sorted(near) if other > place)


def _heads(writes: Iterable[str]) -> set[str]:
    """Return the first folder or file name of each pattern."""
    return {pattern.split("/", 1)[0] for pattern in writes}


def _depends_on(task: str, earlier: str, dependencies: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a task depends on another, directly or indirectly."""
    visited, pending = set[str](), [task]
    while pending:
        name = pending.pop()
        if name == earlier:
            return True
        if name not in visited:
            visited.add(name)
            pending.extend(dependencies.get(name, ()))
    return False
