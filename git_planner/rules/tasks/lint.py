"""What is wrong with the tasks of a plan beyond what a schema can say. Pure.

Works on documents, not on typed tasks, because a plan that was edited by hand must be told all its faults.
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
    """One thing that is wrong. `task` is the task's id, '' for the plan as a whole."""

    code: str
    severity: Literal["error", "warning"]
    task: str
    words: str

    def document(self) -> dict[str, str]:
        """The fault as JSON."""
        return {"code": self.code, "severity": self.severity, "task": self.task, "message": self.words}


def lint_tasks(tasks: Sequence[Mapping[str, Any]]) -> list[LintFault]:
    """Judge the tasks of a plan.

    Args:
        tasks: documents of tasks, which need not have passed the schema.

    Returns:
        The faults in the order of the tasks.
    """
    found = [*_repeated(tasks)]
    known = {str(task.get("id")): task for task in tasks}
    for task in tasks:
        found += [
            *_dependencies(task, known),
            *_commands(task),
            *_scopes(task),
            *_texts(task),
            *_status(task),
        ]
    graph = {
        name: [each for each in _strings(task, "dependencies") if each != name]
        for name, task in known.items()
    }
    from git_planner.rules.tasks.dependency_graph import find_cycle

    cycle = find_cycle(graph)
    if cycle:
        found.append(LintFault("cycle", "error", cycle[0], f"wait for each other: {' → '.join(cycle)}"))
    return found


def _repeated(tasks: Sequence[Mapping[str, Any]]) -> Iterator[LintFault]:
    for key in ("id", "uid"):
        seen: set[str] = set()
        for task in tasks:
            name = str(task.get(key))
            if name in seen:
                words = f"two tasks have the {key} '{name}'; 'git plan sync' gives one of them another number"
                yield LintFault(f"same-{key}", "error", str(task.get("id")), words)
            seen.add(name)


def _dependencies(task: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> Iterator[LintFault]:
    own = str(task.get("id"))
    for name in _strings(task, "dependencies"):
        other = known.get(name)
        if name == own:
            yield LintFault("self-dependency", "error", own, "depends on itself")
        elif other is None:
            yield LintFault(
                "unknown-dependency", "error", own, f"depends on {show_value(name)}, which is no task of it"
            )
        elif other.get("status") in ("cancelled", "deferred") and task.get("status") == "todo":
            words = f"waits for '{name}', which is {other['status']}"
            yield LintFault("dependency-never-done", "warning", own, words)


def _commands(task: Mapping[str, Any]) -> Iterator[LintFault]:
    own, verify = str(task.get("id")), task.get("verify")
    if not isinstance(verify, list):
        yield LintFault("verify", "error", own, "its verify commands are no list")
        return
    if not verify and task.get("status") not in ("done", "deferred", "cancelled"):
        yield LintFault(
            "no-verify", "warning", own, "has no verify command, so only a person's word can close it"
        )
    for place, command in enumerate(verify, 1):
        if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
            yield LintFault("verify", "error", own, f"verify command {place} is no list of texts")
            continue
        found = find_placeholder(" ".join(command))
        if found:
            yield LintFault(
                "placeholder", "error", own, f"verify command {place} is a placeholder: {show_value(found)}"
            )


def _scopes(task: Mapping[str, Any]) -> Iterator[LintFault]:
    for key in ("read_scope", "write_scope"):
        for pattern in _strings(task, key):
            if not _SAFE_PATH.fullmatch(pattern):
                words = f"its {key.replace('_', ' ')} leaves the repository: {show_value(pattern)}"
                yield LintFault("scope", "error", str(task.get("id")), words)


def _texts(task: Mapping[str, Any]) -> Iterator[LintFault]:
    own = str(task.get("id"))
    for key in _TEXTS:
        found = find_placeholder(str(task.get(key) or ""))
        if found:
            yield LintFault("placeholder", "error", own, f"its {key} is a placeholder: {show_value(found)}")
    for key in _LISTS:
        for text in _strings(task, key):
            found = find_placeholder(text)
            if found:
                yield LintFault(
                    "placeholder", "error", own, f"its {key} hold a placeholder: {show_value(found)}"
                )
    if not str(task.get("title") or "").strip():
        yield LintFault("no-title", "error", own, "has no title")


def _status(task: Mapping[str, Any]) -> Iterator[LintFault]:
    if task.get("status") not in STATUSES:
        words = f"{show_value(str(task.get('status')))} is no status of a task"
        yield LintFault("status", "error", str(task.get("id")), words)


def _strings(task: Mapping[str, Any], key: str) -> list[str]:
    values = task.get(key)
    return [each for each in values if isinstance(each, str)] if isinstance(values, list) else []
