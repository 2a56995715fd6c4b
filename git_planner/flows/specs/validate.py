"""Read and validate the changes of a spec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from git_planner import redact
from git_planner.errors import PlannerError
from git_planner.flows.specs.source import SpecSource, UnreadableError, open_source
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.specs import change as specs
from git_planner.rules.specs.change import SpecChange, change_folder
from git_planner.rules.specs.items import SpecFault

_MAX_FILES = 200
# 'git plan spec validate' reports all faults; an error only the first ones.
_MAX_DETAILS = 100


@dataclass(frozen=True, slots=True)
class SpecCheck:
    """Result of validating changes: the changes as read, and all faults."""

    source: str
    changes: tuple[SpecChange, ...]
    faults: tuple[SpecFault, ...]

    def document(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            "schema": "git-planner/spec-judged@1",
            "source": self.source,
            "valid": not self.faults,
            "changes": [
                {
                    "change": change.slug,
                    "valid": not change.faults,
                    "goal": change.goal,
                    "tasks": len(change.items),
                    "ticked": sum(item.ticked for item in change.items),
                }
                for change in self.changes
            ],
            "faults": [fault.document() for fault in self.faults],
        }


def check_specs(repo: Repository, name: str | None, ref: str | None) -> SpecCheck:
    """Validate one change, or all.

    Args:
        repo: the repository.
        name: the change (default: all changes).
        ref: the commit to read (default: the working tree).

    Raises:
        PlannerError: E_NAME, E_UNKNOWN_REF, E_USAGE; E_SPEC when there are no changes.
    """
    with open_source(repo, ref) as source:
        slugs = [parse_slug(name)] if name is not None else sorted(_change_folders(source))
        changes = tuple(load_change(source, slug) for slug in slugs if slug == refnames.slug(slug))
    if not slugs:
        raise PlannerError(
            "E_SPEC",
            f"'{specs.CHANGES}' has no change in {source.label}",
            hint="git plan spec propose NAME",
        )
    misnamed = [
        SpecFault(f"{specs.CHANGES}/{slug}", 1, f"is not a valid change name; use '{refnames.slug(slug)}'")
        for slug in slugs
        if slug != refnames.slug(slug)
    ]
    # The project file is read with every change, but its faults are reported once.
    faults = dict.fromkeys([*misnamed, *(fault for change in changes for fault in change.faults)])
    return SpecCheck(source.label, changes, tuple(faults))


def load_change(source: SpecSource, slug: str) -> SpecChange:
    """Read a change and the project file, valid or not."""
    texts: dict[str, str] = {}
    faults: list[SpecFault] = []
    for path in (specs.PROJECT, *_change_files(source, change_folder(slug), faults)):
        text = _read_text(source, path, faults)
        if text is not None:
            texts[path] = text
    return specs.parse_change(slug, texts, faults)


def require_valid(change: SpecChange) -> SpecChange:
    """Return a valid change; refuse an invalid one.

    Raises:
        PlannerError: E_SPEC, one detail per fault.
    """
    if change.faults:
        raise PlannerError(
            "E_SPEC",
            f"the change '{change.slug}' is invalid: {change.faults[0]}",
            hint=f"git plan spec validate {change.slug}",
            details=[str(fault) for fault in change.faults[:_MAX_DETAILS]],
        )
    return change


def parse_slug(name: str) -> str:
    """Return the folder name of a change.

    Raises:
        PlannerError: E_NAME.
    """
    try:
        return specs.change_slug(name)
    except ValueError as error:
        raise PlannerError("E_NAME", str(error), hint="try 'add-an-option'") from None


def _read_text(source: SpecSource, path: str, faults: list[SpecFault]) -> str | None:
    try:
        data = source.read(path)
    except UnreadableError as error:
        faults.append(SpecFault(path, 1, str(error)))
        return None
    if data is None:
        return None
    try:
        # The text goes into a shared plan.
        return redact.mask_text(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        faults.append(SpecFault(path, data[: error.start].count(b"\n") + 1, "is not UTF-8"))
        return None


def _change_folders(source: SpecSource) -> list[str]:
    return [name for name, is_folder in source.names(specs.CHANGES).items() if is_folder]


def _change_files(source: SpecSource, top: str, faults: list[SpecFault]) -> list[str]:
    """Return the Markdown files of a change: the standard ones, and the spec deltas below 'specs'."""
    files = [f"{top}/{part}" for part in (specs.PROPOSAL, specs.TASKS, specs.DESIGN)]
    folders = [f"{top}/specs"]
    while folders:
        current = folders.pop()
        for name, is_folder in sorted(source.names(current).items()):
            if is_folder:
                folders.append(f"{current}/{name}")
            elif name.endswith(".md"):
                files.append(f"{current}/{name}")
        if len(files) > _MAX_FILES:
            faults.append(SpecFault(f"{top}/specs", 1, f"has more than {_MAX_FILES} files"))
            return files[:3]
    return files
