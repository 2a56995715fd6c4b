"""Read and validate the changes of a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from git_planner import redact
from git_planner.errors import PlannerError
from git_planner.flows.specs.source import SpecSource, UnreadableError, open_source
from git_planner.gitio.repository import Repository
from git_planner.host import bounded_call
from git_planner.rules import refnames
from git_planner.rules.specs import change as specs
from git_planner.rules.specs.change import SpecChange, change_folder
from git_planner.rules.specs.items import SpecFault

_MAX_FILES, _MAX_FOLDERS, _MAX_CHANGES = 200, 1000, 200
# Files of a change together; the tasks and the proposal of large ones have a tenth of that.
_MAX_BYTES = 4 * 1024 * 1024
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
        slugs = [parse_slug(name)] if name is not None else _change_folders(source)
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


def load_change(source: SpecSource, slug: str, *, seconds: float = bounded_call.CPU_SECONDS) -> SpecChange:
    """Read a change and the project file, valid or not.

    Args:
        source: the commit or working tree.
        slug: the name of the change.
        seconds: the limit of processor time.
    """
    files: dict[str, bytes] = {}
    faults: list[SpecFault] = []
    for path in (specs.PROJECT, *_change_files(source, change_folder(slug), faults)):
        content = _read_file(source, path, faults)
        if content is not None:
            files[path] = content
        if sum(map(len, files.values())) > _MAX_BYTES:
            return _unread(
                slug, SpecFault(path, 1, f"is too much: a change has at most {_MAX_BYTES:,} bytes")
            )
    # A branch of somebody else may have been written to take for ever.
    change = bounded_call.call(lambda: _parse(slug, files, faults), seconds=seconds)
    if isinstance(change, bounded_call.Stopped):
        why = f"cannot be read: the reader of its files {change.why}"
        return _unread(slug, SpecFault(change_folder(slug), 1, why))
    return change


def _unread(slug: str, fault: SpecFault) -> SpecChange:
    return SpecChange(slug, "", (), (), (), (), (), (fault,))


def _parse(slug: str, files: Mapping[str, bytes], faults: list[SpecFault]) -> SpecChange:
    decoded = {path: _decode(path, content, faults) for path, content in files.items()}
    return specs.parse_change(
        slug, {path: text for path, text in decoded.items() if text is not None}, faults
    )


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


def _read_file(source: SpecSource, path: str, faults: list[SpecFault]) -> bytes | None:
    try:
        return source.read(path)
    except UnreadableError as error:
        faults.append(SpecFault(path, 1, str(error)))
        return None


def _decode(path: str, data: bytes, faults: list[SpecFault]) -> str | None:
    try:
        # The text goes into a shared plan.
        return redact.mask_text(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        faults.append(SpecFault(path, data[: error.start].count(b"\n") + 1, "is not UTF-8"))
        return None


def _change_folders(source: SpecSource) -> list[str]:
    try:
        folders = sorted(name for name, is_folder in source.names(specs.CHANGES).items() if is_folder)
    except UnreadableError as error:
        raise PlannerError(
            "E_SPEC", f"'{specs.CHANGES}' in {source.label}: {error}", hint="git plan spec validate CHANGE"
        ) from None
    if len(folders) > _MAX_CHANGES:
        raise PlannerError(
            "E_SPEC",
            f"'{specs.CHANGES}' in {source.label} has {len(folders):,} changes; at most {_MAX_CHANGES} are "
            "validated at once",
            hint="git plan spec validate CHANGE",
        )
    return folders


def _usable_names(
    names: Mapping[str, bool], folder: str, faults: list[SpecFault]
) -> Iterator[tuple[str, bool]]:
    """Yield the entries of a folder whose names a file can have in every clone; report the others."""
    for name, is_folder in names.items():
        if specs.is_usable_name(name):
            yield name, is_folder
        else:
            faults.append(SpecFault(folder, 1, f"has an entry with an unusable name: {name[:80]!a}"))


def _change_files(source: SpecSource, top: str, faults: list[SpecFault]) -> list[str]:
    """Return the Markdown files of a change: the standard ones, and the spec deltas below 'specs'."""
    files = [f"{top}/{part}" for part in (specs.PROPOSAL, specs.TASKS, specs.DESIGN)]
    folders = [f"{top}/specs"]
    # The folder list grows while it is read. Few objects can make a commit with billions of folders.
    for current in folders:
        try:
            names = sorted(_usable_names(source.names(current), current, faults))
        except UnreadableError as error:
            faults.append(SpecFault(current, 1, str(error)))
            continue
        folders += [f"{current}/{name}" for name, is_folder in names if is_folder]
        files += [f"{current}/{name}" for name, is_folder in names if not is_folder and name.endswith(".md")]
        for found, most, kind in ((files, _MAX_FILES, "files"), (folders, _MAX_FOLDERS, "folders")):
            if len(found) > most:
                faults.append(SpecFault(f"{top}/specs", 1, f"has more than {most:,} {kind}"))
                return files[:3]
    return files
