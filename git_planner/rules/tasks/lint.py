"""Lint the tasks of a plan for faults that a schema cannot express. Pure.

Works on documents instead of typed tasks, so that all faults of a plan edited by hand are reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from git_planner.rules.documents.messages import show_value
from git_planner.rules.documents.placeholders import find_placeholder
from git_planner.rules.tasks.task import STATUSES

_SAFE_PATH = re.compile(
    r"(?![/:~])(?!(?:.*/)?\.{1,2}(?:/|$))(?!.*//)(?!(?:.*/)?\.[gG][iI][tT](?:/|$)).+", re.DOTALL
)
_TEXTS = ("title", "intent")
_LISTS = ("actions", "acceptance")


@dataclass(frozen=True, slots=True)
class LintFault:
    """One fault. `task` is the task's id, or '' for the plan itself."""

    code: str
    severity: Literal["error", "warning"]
    task: str
    message: str

    def document(self) -> dict[str, str]:
        """Return the fault as a JSON document."""
        return {"code": self.code, "severity": self.severity, "task": self.task, "message": self.message}


def lint_tasks(tasks: Sequence[Mapping[str, Any]]) -> list[LintFault]:
    """Check the tasks of a plan.

    Args:
        tasks: task documents, not necessarily valid.

    Returns:
        The faults in the order of the tasks.
    """
    faults = [*_duplicate_faults(tasks)]
    by_id = {str(task.get("id")): task for task in tasks}
    for task in tasks:
        faults += [
            *_dependency_faults(task, by_id),
            *_command_faults(task),
            *_scope_faults(task),
            *_text_faults(task),
            *_status_faults(task),
        ]
    graph = {
        name: [dependency for dependency in _strings(task, "dependencies") if dependency != name]
        for name, task in by_id.items()
    }
    from git_planner.rules.tasks.dependency_graph import find_cycle

    cycle = find_cycle(graph)
    if cycle:
        faults.append(LintFault("cycle", "error", cycle[0], f"dependency cycle: {' → '.join(cycle)}"))
    return faults


def _duplicate_faults(tasks: Sequence[Mapping[str, Any]]) -> Iterator[LintFault]:
    for key in ("id", "uid"):
        seen: set[str] = set()
        for task in tasks:
            name = str(task.get(key))
            if name in seen:
                message = f"two tasks have the {key} '{name}'; 'git plan sync' renumbers one of them"
                yield LintFault(f"same-{key}", "error", str(task.get("id")), message)
            seen.add(name)


def _dependency_faults(
    task: Mapping[str, Any], by_id: Mapping[str, Mapping[str, Any]]
) -> Iterator[LintFault]:
    own = str(task.get("id"))
    for name in _strings(task, "dependencies"):
        other = by_id.get(name)
        if name == own:
            yield LintFault("self-dependency", "error", own, "depends on itself")
        elif other is None:
            yield LintFault(
                "unknown-dependency",
                "error",
                own,
                f"depends on {show_value(name)}, which is not in this plan",
            )
        elif other.get("status") in ("cancelled", "deferred") and task.get("status") == "todo":
            message = f"depends on '{name}', which is {other['status']} and will not be done"
            yield LintFault("dependency-never-done", "warning", own, message)


def _command_faults(task: Mapping[str, Any]) -> Iterator[LintFault]:
    own, verify = str(task.get("id")), task.get("verify")
    if not isinstance(verify, list):
        yield LintFault("verify", "error", own, "its verify commands are not a list")
        return
    if not verify and task.get("status") not in ("done", "deferred", "cancelled"):
        yield LintFault("no-verify", "warning", own, "has no verify command, so it needs a manual sign-off")
    for place, command in enumerate(verify, 1):
        if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
            yield LintFault("verify", "error", own, f"verify command {place} is not a list of strings")
            continue
        hole = find_placeholder(" ".join(command))
        if hole:
            yield LintFault(
                "placeholder", "error", own, f"verify command {place} is a placeholder: {show_value(hole)}"
            )


def _scope_faults(task: Mapping[str, Any]) -> Iterator[LintFault]:
    for key in ("read_scope", "write_scope"):
        for pattern in _strings(task, key):
            if not _SAFE_PATH.fullmatch(pattern):
                message = f"its {key.replace('_', ' ')} leaves the repository: {show_value(pattern)}"
                yield LintFault("scope", "error", str(task.get("id")), message)


def _text_faults(task: Mapping[str, Any]) -> Iterator[LintFault]:
    own = str(task.get("id"))
    for key in _TEXTS:
        hole = find_placeholder(str(task.get(key) or ""))
        if hole:
            yield LintFault("placeholder", "error", own, f"its {key} is a placeholder: {show_value(hole)}")
    for key in _LISTS:
        for text in _strings(task, key):
            hole = find_placeholder(text)
            if hole:
                yield LintFault(
                    "placeholder", "error", own, f"its {key} contain a placeholder: {show_value(hole)}"
                )
    if not str(task.get("title") or "").strip():
        yield LintFault("no-title", "error", own, "has no title")


def _status_faults(task: Mapping[str, Any]) -> Iterator[LintFault]:
    if task.get("status") not in STATUSES:
        message = f"{show_value(str(task.get('status')))} is not a task status"
        yield LintFault("status", "error", str(task.get("id")), message)


def _strings(task: Mapping[str, Any], key: str) -> list[str]:
    values = task.get(key)
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
