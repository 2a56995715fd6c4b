"""Create the files of specs: `git plan spec init` and `git plan spec propose`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.flows.specs.source import UnreadableError, WorkingTree, working_tree
from git_planner.flows.specs.validate import slug_of
from git_planner.gitio.repository import Repository
from git_planner.resources import resource_folder
from git_planner.rules.specs import change as specs
from git_planner.rules.specs.change import change_folder


@dataclass(frozen=True, slots=True)
class Written:
    """Files that were made, and those that were there already and were left alone; paths from the top."""

    change: str | None
    written: tuple[str, ...]
    kept: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/spec-written@1",
            "change": self.change,
            "written": list(self.written),
            "kept": list(self.kept),
        }


def initialise(repo: Repository, *, force: bool = False) -> Written:
    """Make the folders of specs and the project's file in the working tree.

    Args:
        repo: the repository.
        force: write the project's file again, over what is in it.

    Raises:
        PlannerError: E_USAGE in a bare repository, E_DIRTY when a link is in the way.
    """
    files = {f"{place}/.gitkeep": b"" for place in (specs.SPECS, specs.CHANGES, specs.ARCHIVE)}
    files[specs.PROJECT] = _template("project.md", "")
    return _write(working_tree(repo), None, files, force=force)


def propose(repo: Repository, name: str, *, force: bool = False) -> Written:
    """Make the files of a change in the working tree, to be filled in.

    Args:
        repo: the repository.
        name: the change's name; its folder is the slug of it.
        force: write the files again, over what is in them.

    Raises:
        PlannerError: E_NAME; E_SPEC without a project's file; E_USAGE, E_DIRTY as `initialise`.
    """
    slug, tree = slug_of(name), working_tree(repo)
    if not _is_file(tree, specs.PROJECT):
        raise PlannerError(
            "E_SPEC",
            f"'{specs.PROJECT}' is missing: it says what holds for every change",
            hint="make it with 'git plan spec init'",
        )
    files = {f"{change_folder(slug)}/specs/.gitkeep": b""}
    for part in (specs.PROPOSAL, specs.TASKS, specs.DESIGN):
        files[f"{change_folder(slug)}/{part}"] = _template(part, slug)
    return _write(tree, slug, files, force=force)


def _template(name: str, change: str) -> bytes:
    text = (resource_folder("templates") / "openspec" / name).read_text(encoding="utf-8")
    return text.replace("{change}", change).encode()


def _is_file(tree: WorkingTree, path: str) -> bool:
    try:
        return tree.checked(path).is_file()
    except UnreadableError as error:
        raise _in_the_way(error) from None


def _write(tree: WorkingTree, change: str | None, files: Mapping[str, bytes], *, force: bool) -> Written:
    """Write files that are not there; with `force` those too that are."""
    places: dict[str, Path] = {}
    for path in files:
        try:
            places[path] = tree.checked(path)
        except UnreadableError as error:
            raise _in_the_way(error) from None
    written, kept = [], []
    for path, place in places.items():
        if place.exists() and (not force or not files[path]):
            kept.append(path)
            continue
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            atomic_file.write(place, files[path])
        except OSError as error:
            raise PlannerError("E_DIRTY", f"'{path}' cannot be written: {error.strerror}") from None
        written.append(path)
    return Written(change, tuple(written), tuple(kept))


def _in_the_way(error: UnreadableError) -> PlannerError:
    return PlannerError("E_DIRTY", str(error), hint="put a folder in its place; nothing was written")
