"""A spec change: its paths, its parsed content and its faults. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from git_planner.rules import refnames
from git_planner.rules.documents.markdown import (
    Block,
    MarkdownSection,
    Outline,
    iter_blocks,
    parse_outline,
    split_sections,
)
from git_planner.rules.documents.messages import control_problem, show_value
from git_planner.rules.documents.placeholders import find_placeholder
from git_planner.rules.specs.items import SpecFault, SpecItem
from git_planner.rules.specs.parse_items import parse_items

ROOT = "openspec"
PROJECT = f"{ROOT}/project.md"
CHANGES = f"{ROOT}/changes"
SPECS = f"{ROOT}/specs"
ARCHIVE = f"{ROOT}/archive"
PROPOSAL, TASKS, DESIGN = "proposal.md", "tasks.md", "design.md"
MAX_BYTES = 500 * 1024
MAX_LINES, MAX_GOAL, MAX_LINE = 50, 8000, 2000
_GOALS = re.compile(r"why\b|motivation|problem|purpose|goal|summary|background", re.IGNORECASE)
_ACCEPTANCE = re.compile(r"acceptance|success criteria|done when|definition of done", re.IGNORECASE)
_INVARIANTS = re.compile(r".*(?:invariant|constraint)", re.IGNORECASE | re.DOTALL)
_ENTRYPOINTS = re.compile(r".*entry ?-?points?\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class SpecChange:
    """The content of the files of one change.

    `goal` is the first paragraph of the proposal's 'Why'; `acceptance` are the lines of its acceptance,
    `invariants` and `entrypoints` those of the project's. `files` are the paths that were read. The
    content may be used only if there are no `faults`.
    """

    slug: str
    goal: str
    acceptance: tuple[str, ...]
    invariants: tuple[str, ...]
    entrypoints: tuple[str, ...]
    items: tuple[SpecItem, ...]
    files: tuple[str, ...]
    faults: tuple[SpecFault, ...]

    def content(self) -> dict[str, Any]:
        """Return as JSON what tasks are compiled from."""
        names = ("slug", "goal", "acceptance", "invariants", "entrypoints")
        return {
            **{name: getattr(self, name) for name in names},
            "items": [asdict(item) for item in self.items],
        }


def change_slug(name: str) -> str:
    """Return the folder name of a change.

    Raises:
        ValueError: the name has no letter and no digit.
    """
    slug = refnames.slug(name, "")
    if not slug:
        raise ValueError(f"{name[:80]!r} has no letter and no digit")
    return slug


def change_folder(slug: str) -> str:
    """Return the folder of a change."""
    return f"{CHANGES}/{slug}"


def is_usable_name(name: str) -> bool:
    """Return whether every clone can have a file of this name. A commit made by hand may have others."""
    return name.isprintable() and name.lower() not in (".", "..", ".git")


def required_files(slug: str) -> tuple[str, ...]:
    """Return the files that a change must have."""
    return (PROJECT, f"{change_folder(slug)}/{PROPOSAL}", f"{change_folder(slug)}/{TASKS}")


def parse_change(slug: str, texts: Mapping[str, str], faults: Iterable[SpecFault] = ()) -> SpecChange:
    """Parse a change.

    Args:
        slug: the change's name.
        texts: path -> content of the project file and of all files of the change.
        faults: faults of files that could not be read.
    """
    read = {path: parse_outline(text) for path, text in texts.items()}
    problems = [*faults, *_missing_files(slug, texts, faults)]
    for path, parsed in read.items():
        if path != f"{change_folder(slug)}/{TASKS}":
            problems += _text_faults(path, parsed)
    items: tuple[SpecItem, ...] = ()
    if f"{change_folder(slug)}/{TASKS}" in read:
        items, more = parse_items(read[f"{change_folder(slug)}/{TASKS}"], f"{change_folder(slug)}/{TASKS}")
        problems += [
            *more,
            *_heading_faults(f"{change_folder(slug)}/{TASKS}", read[f"{change_folder(slug)}/{TASKS}"]),
        ]
    proposal = read.get(f"{change_folder(slug)}/{PROPOSAL}", Outline(()))
    goal = _goal(proposal)
    if f"{change_folder(slug)}/{PROPOSAL}" in read and not goal.text:
        problems.append(
            SpecFault(f"{change_folder(slug)}/{PROPOSAL}", 1, "does not say why: it has no paragraph")
        )
    project = read.get(PROJECT, Outline(()))
    parts = {
        "acceptance": (f"{change_folder(slug)}/{PROPOSAL}", proposal, _ACCEPTANCE),
        "invariants": (PROJECT, project, _INVARIANTS),
        "entrypoints": (PROJECT, project, _ENTRYPOINTS),
    }
    lines = {name: tuple(_section_items(*part, problems)) for name, part in parts.items()}
    return SpecChange(
        slug=slug,
        goal=" ".join(goal.text.split())[:MAX_GOAL],
        items=items,
        files=tuple(sorted(texts)),
        faults=tuple(sorted(problems, key=lambda fault: (fault.path, fault.line))),
        **lines,
    )


def _missing_files(slug: str, texts: Mapping[str, str], faults: Iterable[SpecFault]) -> Iterator[SpecFault]:
    reported = {fault.path for fault in faults}
    for path in required_files(slug):
        if path not in texts and path not in reported:
            command = "init" if path == PROJECT else f"propose {slug}"
            yield SpecFault(path, 1, f"is missing; create it with 'git plan spec {command}'")


def _text_faults(path: str, read: Outline) -> Iterator[SpecFault]:
    """Yield the placeholders and control characters of a file."""
    for block in iter_blocks(read.blocks):
        hole = find_placeholder(block.text) if block.kind != "code" else None
        if hole:
            yield SpecFault(path, block.line, f"is still a placeholder: {show_value(hole)}")
        sign = control_problem(block.text)
        if sign:
            yield SpecFault(path, block.line, sign)


def _heading_faults(path: str, read: Outline) -> Iterator[SpecFault]:
    yield from _text_faults(path, Outline(tuple(block for block in read.blocks if block.kind == "heading")))


def _goal(read: Outline) -> Block:
    """Return the first paragraph of the section with the purpose, or of the file if there is none."""
    all_sections = split_sections(read.blocks)
    purpose = [section for section in all_sections if _GOALS.match(section.title)]
    for section in (*purpose, *all_sections):
        for block in iter_blocks(section.blocks):
            if block.kind in ("text", "item") and block.text:
                return block
    return Block("text", "", 1)


def _section_items(
    path: str, read: Outline, wanted: re.Pattern[str], problems: list[SpecFault]
) -> Iterator[str]:
    """Yield the items of the sections with a matching title."""
    chosen: list[MarkdownSection] = []
    lines: dict[str, int] = {}
    for section in split_sections(read.blocks):
        if not wanted.match(section.title):
            continue
        chosen.append(section)
        for block in iter_blocks(section.blocks):
            if block.kind == "item" and block.text:
                lines.setdefault(" ".join(block.text.split()), block.line)
    for text, line in lines.items():
        if len(text) > MAX_LINE:
            problems.append(
                SpecFault(path, line, f"has {len(text):,} characters; at most {MAX_LINE:,} are kept")
            )
    if len(lines) > MAX_LINES:
        problems.append(
            SpecFault(path, chosen[0].line, f"has {len(lines):,} lines; at most {MAX_LINES} are kept")
        )
    yield from lines
