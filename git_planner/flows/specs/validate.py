"""Specs: making their files from the templates, reading a change and judging it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from git_planner import redact
from git_planner.errors import PlannerError
from git_planner.flows.specs.source import Source, UnreadableError, opened
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.specs import change as specs
from git_planner.rules.specs.change import SpecChange, change_folder
from git_planner.rules.specs.items import SpecFault

_MOST_FILES = 200
# An error is no report: 'validate' tells all faults.
_MOST_DETAILS = 100


@dataclass(frozen=True, slots=True)
class Judged:
    """Changes as they were read, and what is wrong with what is no change at all."""

    source: str
    changes: tuple[SpecChange, ...]
    faults: tuple[SpecFault, ...]

    def document(self) -> dict[str, Any]:
        """The judgement as JSON."""
        return {
            "schema": "git-planner/spec-judged@1",
            "source": self.source,
            "valid": not self.faults,
            "changes": [
                {
                    "change": each.slug,
                    "valid": not each.faults,
                    "goal": each.goal,
                    "tasks": len(each.items),
                    "ticked": sum(item.ticked for item in each.items),
                }
                for each in self.changes
            ],
            "faults": [fault.document() for fault in self.faults],
        }


def judge(repo: Repository, name: str | None, ref: str | None) -> Judged:
    """Judge a change, or all there are.

    Args:
        repo: the repository.
        name: the change; all changes when None.
        ref: the commit to read; the working tree when None.

    Raises:
        PlannerError: E_NAME, E_UNKNOWN_REF, E_USAGE; E_SPEC when there is no change at all.
    """
    with opened(repo, ref) as source:
        slugs = [slug_of(name)] if name is not None else sorted(_folders(source))
        changes = tuple(read(source, slug) for slug in slugs if slug == refnames.slug(slug))
    if not slugs:
        raise PlannerError(
            "E_SPEC",
            f"'{specs.CHANGES}' has no change in {source.words}",
            hint="begin one with 'git plan spec propose NAME'",
        )
    odd = [
        SpecFault(
            f"{specs.CHANGES}/{each}", 1, f"is no name of a change; '{refnames.slug(each)}' would be one"
        )
        for each in slugs
        if each != refnames.slug(each)
    ]
    # The project's file is read with every change, but is told about once.
    faults = dict.fromkeys([*odd, *(fault for change in changes for fault in change.faults)])
    return Judged(source.words, changes, tuple(faults))


def read(source: Source, slug: str) -> SpecChange:
    """Read a change and the project's file, whatever is wrong with them."""
    texts: dict[str, str] = {}
    faults: list[SpecFault] = []
    for path in (specs.PROJECT, *_files(source, change_folder(slug), faults)):
        text = _text(source, path, faults)
        if text is not None:
            texts[path] = text
    return specs.parse_change(slug, texts, faults)


def checked(change: SpecChange) -> SpecChange:
    """Refuse a change that does not hold.

    Raises:
        PlannerError: E_SPEC, one detail a fault.
    """
    if change.faults:
        raise PlannerError(
            "E_SPEC",
            f"the change '{change.slug}' does not hold: {change.faults[0]}",
            hint=f"put it right, and look again with 'git plan spec validate {change.slug}'",
            details=[str(fault) for fault in change.faults[:_MOST_DETAILS]],
        )
    return change


def slug_of(name: str) -> str:
    """The folder's name of a change that a person named.

    Raises:
        PlannerError: E_NAME.
    """
    try:
        return specs.change_slug(name)
    except ValueError as error:
        raise PlannerError("E_NAME", str(error), hint="try 'add-an-option'") from None


def _text(source: Source, path: str, faults: list[SpecFault]) -> str | None:
    try:
        data = source.read(path)
    except UnreadableError as error:
        faults.append(SpecFault(path, 1, str(error)))
        return None
    if data is None:
        return None
    try:
        # What is read here goes into a plan that others see.
        return redact.mask_text(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        faults.append(SpecFault(path, data[: error.start].count(b"\n") + 1, "is not UTF-8"))
        return None


def _folders(source: Source) -> list[str]:
    return [name for name, is_folder in source.names(specs.CHANGES).items() if is_folder]


def _files(source: Source, top: str, faults: list[SpecFault]) -> list[str]:
    """The Markdown files of a change: those everybody has, and the deltas of specs below 'specs'."""
    found = [f"{top}/{part}" for part in (specs.PROPOSAL, specs.TASKS, specs.DESIGN)]
    waiting = [f"{top}/specs"]
    while waiting:
        here = waiting.pop()
        for name, is_folder in sorted(source.names(here).items()):
            if is_folder:
                waiting.append(f"{here}/{name}")
            elif name.endswith(".md"):
                found.append(f"{here}/{name}")
        if len(found) > _MOST_FILES:
            faults.append(SpecFault(f"{top}/specs", 1, f"has more than {_MOST_FILES} files"))
            return found[:3]
    return found
