"""Which tasks may be begun now, and whose scopes get into each other's way. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from git_planner.rules.policy.globs import find_overlap
from git_planner.rules.tasks.task import CLOSED, Task, TaskStatus, sort_tasks

# Somebody is in the middle of these.
_BUSY = frozenset(("in_progress", "needs_input"))


class SchedulableTask(Protocol):
    """What of a task decides whether it may be begun; a Task or a Brief."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def number(self) -> int:
        """The number in it."""
        ...

    @property
    def status(self) -> TaskStatus:
        """Where it stands."""
        ...

    @property
    def dependencies(self) -> Sequence[str]:
        """Ids of what must be done before."""
        ...

    @property
    def write_scope(self) -> Sequence[str]:
        """What it may change."""
        ...


TaskT = TypeVar("TaskT", bound=SchedulableTask)


@dataclass(frozen=True, slots=True)
class ScopeClash:
    """Two pieces of work whose write scopes overlap, by their names, and the patterns that do."""

    one: str
    other: str
    patterns: tuple[str, str]


@dataclass(frozen=True, slots=True)
class ScopedWork:
    """A piece of work that writes: a task, an iteration, a variant. `kind` and `name` for people."""

    kind: str
    name: str
    writes: tuple[str, ...]

    @property
    def shown(self) -> str:
        """Its kind and name."""
        return f"{self.kind} {self.name}"


def ready_tasks(tasks: Sequence[TaskT], claimed: Collection[str] = ()) -> list[TaskT]:
    """The tasks that may be begun now, by number.

    A task is ready when it is todo, all that it depends on is done, nobody has claimed it, and its write
    scope is free of what others are in the middle of. Tasks that are ready together may still overlap.

    Args:
        tasks: all tasks of the plan.
        claimed: ids of the tasks that somebody holds a claim on.
    """
    done = {task.id for task in tasks if task.status == "done"}
    busy = [task for task in tasks if task.write_scope and (task.status in _BUSY or task.id in claimed)]
    return [
        task
        for task in sorted(tasks, key=lambda each: each.number)
        if task.status == "todo"
        and task.id not in claimed
        and all(each in done for each in task.dependencies)
        and not any(find_overlap(task.write_scope, other.write_scope) for other in busy)
    ]


def reasons_not_ready(
    task: SchedulableTask, tasks: Sequence[SchedulableTask], claimed: Collection[str] = ()
) -> list[str]:
    """What keeps a task from being begun, one sentence each; none when it is ready."""
    known = {each.id: each for each in tasks}
    reasons = [] if task.status == "todo" else [f"it is {task.status}"]
    if task.id in claimed:
        reasons.append("somebody has claimed it")
    for name in task.dependencies:
        other = known.get(name)
        if other is None:
            reasons.append(f"it depends on '{name}', which is not there")
        elif other.status != "done":
            reasons.append(f"it depends on '{name}', which is {other.status}")
    for other in tasks:
        if other.id != task.id and (other.status in _BUSY or other.id in claimed):
            found = find_overlap(task.write_scope, other.write_scope)
            if found:
                reasons.append(f"'{other.id}' is in the middle of '{found[1]}', which '{found[0]}' overlaps")
    return reasons


def pick_parallel(tasks: Sequence[TaskT], most: int) -> list[TaskT]:
    """The first of some ready tasks that can be worked on at the same time: their scopes do not overlap."""
    chosen: list[TaskT] = []
    for task in tasks:
        if len(chosen) == most:
            break
        if not any(find_overlap(task.write_scope, other.write_scope) for other in chosen):
            chosen.append(task)
    return chosen


def find_clashes(works: Sequence[ScopedWork], most: int) -> list[ScopeClash]:
    """Pairs of pieces of work that write to the same place.

    Args:
        works: what is open.
        most: how many pairs are looked for.
    """
    found: list[ScopeClash] = []
    for one, other in _candidates(works):
        patterns = find_overlap(one.writes, other.writes)
        if patterns:
            found.append(ScopeClash(one.shown, other.shown, patterns))
            if len(found) >= most:
                break
    return found


def find_task_clashes(tasks: Sequence[Task], most: int) -> list[ScopeClash]:
    """Open tasks of one plan that write to the same place, and of which neither waits for the other."""
    waits = {task.id: task.dependencies for task in tasks}
    found: list[ScopeClash] = []
    works = [
        ScopedWork("task", task.id, task.write_scope)
        for task in sort_tasks(tasks)
        if task.status not in CLOSED
    ]
    for one, other in _candidates(works):
        patterns = find_overlap(one.writes, other.writes)
        if patterns and not (_after(one.name, other.name, waits) or _after(other.name, one.name, waits)):
            found.append(ScopeClash(one.shown, other.shown, patterns))
            if len(found) >= most:
                break
    return found


def _candidates(works: Sequence[ScopedWork]) -> Iterator[tuple[ScopedWork, ScopedWork]]:
    """Pairs that may overlap, each once: their patterns begin with the same folder, or with a wild one."""
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
    """The first folder or file name of each pattern."""
    return {pattern.split("/", 1)[0] for pattern in writes}


def _after(task: str, earlier: str, waits: Mapping[str, Sequence[str]]) -> bool:
    """Whether a task waits for another, be it through further ones."""
    seen, todo = set[str](), [task]
    while todo:
        here = todo.pop()
        if here == earlier:
            return True
        if here not in seen:
            seen.add(here)
            todo.extend(waits.get(here, ()))
    return False
