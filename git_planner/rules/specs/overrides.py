"""Overrides for single tasks of a spec, in the file of `--verify-overrides`. Pure.

`default_verify` applies to tasks whose spec names no command; `by_task_id`, `by_title` and `by_key` override
fields of one task, and the last one in this list wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules.documents.messages import control_problem, json_pointer, show_value
from git_planner.rules.documents.placeholders import find_placeholder
from git_planner.rules.policy.command_line import parse_command
from git_planner.rules.specs.items import SpecItem, normalize_title
from git_planner.rules.specs.parse_items import MAX_TITLE, is_unsafe_path
from git_planner.rules.tasks.task import task_id_for, task_number

_GROUPS = ("by_task_id", "by_title", "by_key")
_MAX_ENTRIES = 50


@dataclass(frozen=True, slots=True)
class TaskOverride:
    """The overrides of one task; None for a field that is not overridden."""

    verify: tuple[tuple[str, ...], ...] | None = None
    write_scope: tuple[str, ...] | None = None
    acceptance: tuple[str, ...] | None = None
    title: str | None = None
    intent: str | None = None

    def fields(self) -> dict[str, Any]:
        """Return the overridden fields."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Overrides:
    """The content of the file; titles are normalized."""

    default_verify: tuple[tuple[str, ...], ...] = ()
    by_task_id: Mapping[str, TaskOverride] | None = None
    by_title: Mapping[str, TaskOverride] | None = None
    by_key: Mapping[str, TaskOverride] | None = None

    def applied(self, item: SpecItem, task_id: str) -> SpecItem:
        """Apply the overrides to an item, by its task id, title and key."""
        overrides = (
            (self.by_task_id or {}).get(task_id),
            (self.by_title or {}).get(normalize_title(item.title)),
            (self.by_key or {}).get(item.key),
        )
        fields: dict[str, Any] = {}
        for override in overrides:
            fields |= override.fields() if override else {}
        return replace(item, **fields) if fields else item

    def unused(self, items: Mapping[str, SpecItem]) -> list[str]:
        """Return the overrides of tasks that do not exist, as 'by_title: …'.

        Args:
            items: task id -> item.
        """
        known = {
            "by_task_id": set(items),
            "by_title": {normalize_title(item.title) for item in items.values()},
            "by_key": {item.key for item in items.values()},
        }
        return [
            f"{group}: {name}"
            for group in _GROUPS
            for name in getattr(self, group) or ()
            if name not in known[group]
        ]


def overrides_from(document: Any, where: str) -> Overrides:
    """Build overrides from a parsed file.

    Raises:
        PlannerError: E_SCHEMA, one detail per fault.
    """
    faults: list[str] = []
    overrides = _read_groups(document, faults) if isinstance(document, dict) else None
    if overrides is None:
        faults.append("/: must be an object")
    if faults or overrides is None:
        raise PlannerError(
            "E_SCHEMA",
            f"'{where}' is not a valid overrides file: {faults[0]}",
            hint="its keys are default_verify, by_task_id, by_title and by_key; see docs/spec.md",
            details=faults,
        )
    return overrides


def _read_groups(document: Mapping[str, Any], faults: list[str]) -> Overrides:
    known = (*_GROUPS, "default_verify")
    faults += [f"{json_pointer([key])}: is not a known key" for key in document if key not in known]
    groups: dict[str, dict[str, TaskOverride]] = {}
    for group in _GROUPS:
        entries = document.get(group, {})
        if not isinstance(entries, dict):
            faults.append(f"/{group}: must be an object")
            continue
        groups[group] = {
            _name(group, name, faults): _override(entry, (group, name), faults)
            for name, entry in entries.items()
        }
    default = tuple(_commands(document.get("default_verify", []), ("default_verify",), faults))
    return Overrides(default, **groups)


def _name(group: str, name: str, faults: list[str]) -> str:
    if group == "by_title":
        return normalize_title(name)
    if group == "by_key":
        return name
    try:
        return task_id_for(task_number(name))
    except PlannerError as error:
        faults.append(f"{json_pointer([group, name])}: {error.message}")
        return name


def _override(entry: Any, at: tuple[str, ...], faults: list[str]) -> TaskOverride:
    if not isinstance(entry, dict):
        faults.append(f"{json_pointer(at)}: must be an object")
        return TaskOverride()
    fields: dict[str, Any] = {}
    for key, value in entry.items():
        here = (*at, key)
        match key:
            case "verify":
                fields["verify"] = tuple(_commands(value, here, faults))
            case "expected_files":
                fields["write_scope"] = tuple(_texts(value, here, faults, paths=True))
            case "done_criteria":
                fields["acceptance"] = tuple(_texts(value, here, faults))
            case "title":
                fields["title"] = "".join(_texts([value], here, faults, most=MAX_TITLE))
            case "description":
                fields["intent"] = "".join(_texts([value], here, faults, most=4000))
            case _:
                faults.append(f"{json_pointer(here)}: is not a known key")
    return TaskOverride(**fields)


def _commands(value: Any, at: tuple[str, ...], faults: list[str]) -> Iterator[tuple[str, ...]]:
    if not isinstance(value, list) or len(value) > _MAX_ENTRIES:
        faults.append(f"{json_pointer(at)}: must be a list of at most {_MAX_ENTRIES} commands")
        return
    for place, written in enumerate(value):
        try:
            yield parse_command(written, json_pointer([*at, str(place)]))
        except PlannerError as error:
            faults.append(error.message)


def _texts(
    value: Any, at: tuple[str, ...], faults: list[str], *, paths: bool = False, most: int = 2000
) -> Iterator[str]:
    if not isinstance(value, list) or len(value) > _MAX_ENTRIES:
        faults.append(f"{json_pointer(at)}: must be a list of at most {_MAX_ENTRIES} texts")
        return
    for text in value:
        if not isinstance(text, str) or not text.strip() or len(text) > most:
            faults.append(f"{json_pointer(at)}: must hold texts of 1 to {most:,} characters")
        elif find_placeholder(text):
            faults.append(f"{json_pointer(at)}: is still a placeholder: {show_value(text)}")
        elif sign := control_problem(text):
            faults.append(f"{json_pointer(at)}: {sign}")
        elif paths and is_unsafe_path(text):
            faults.append(f"{json_pointer(at)}: {show_value(text)} is not a path within the repository")
        else:
            yield text.strip()
