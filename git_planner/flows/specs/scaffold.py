"""Create the files of specs: `git plan spec init` and `git plan spec propose`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.flows.specs.source import UnreadableError, WorkingTree, working_tree
from git_planner.flows.specs.validate import parse_slug
from git_planner.gitio.repository import Repository
from git_planner.resources import resource_folder
from git_planner.rules.specs import change as specs
from git_planner.rules.specs.change import change_folder


@dataclass(frozen=True, slots=True)
class ScaffoldResult:
    """Written files, and existing files that were kept; paths from the top of the repository."""

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


def init_specs(repo: Repository, *, force: bool = False) -> ScaffoldResult:
    """Create the folders of specs and the project file in the working tree.

    Args:
        repo: the repository.
        force: overwrite the project file.

    Raises:
        PlannerError: E_USAGE in a bare repository, E_DIRTY when a symlink is in the way.
    """
    files = {f"{folder_path}/.gitkeep": b"" for folder_path in (specs.SPECS, specs.CHANGES, specs.ARCHIVE)}
    files[specs.PROJECT] = _template_bytes("project.md", "")
    return _write_files(working_tree(repo), None, files, force=force)


def propose_change(repo: Repository, name: str, *, force: bool = False) -> ScaffoldResult:
    """Create the files of a change in the working tree, to be filled in.

    Args:
        repo: the repository.
        name: the change's name; its slug is the folder name.
        force: overwrite existing files.

    Raises:
        PlannerError: E_NAME; E_SPEC without a project file; E_USAGE, E_DIRTY as `init_specs`.
    """
    slug, tree = parse_slug(name), working_tree(repo)
    if not _is_file(tree, specs.PROJECT):
        raise PlannerError(
            "E_SPEC",
            f"'{specs.PROJECT}' is missing: it states what applies to every change",
            hint="git plan spec init",
        )
    files = {f"{change_folder(slug)}/specs/.gitkeep": b""}
    for part in (specs.PROPOSAL, specs.TASKS, specs.DESIGN):
        files[f"{change_folder(slug)}/{part}"] = _template_bytes(part, slug)
    return _write_files(tree, slug, files, force=force)


def _template_bytes(name: str, change: str) -> bytes:
    text = (resource_folder("templates") / "openspec" / name).read_text(encoding="utf-8")
    return text.replace("{change}", change).encode()


def _is_file(tree: WorkingTree, path: str) -> bool:
    try:
        return tree.safe_path(path).is_file()
    except UnreadableError as error:
        raise _link_error(error) from None


def _write_files(
    tree: WorkingTree, change: str | None, files: Mapping[str, bytes], *, force: bool
) -> ScaffoldResult:
    """Write missing files; with `force`, existing ones, too."""
    targets: dict[str, Path] = {}
    for path in files:
        try:
            targets[path] = tree.safe_path(path)
        except UnreadableError as error:
            raise _link_error(error) from None
    written, kept = [], []
    for path, target in targets.items():
        if target.exists() and (not force or not files[path]):
            kept.append(path)
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            atomic_file.write(target, files[path])
        except OSError as error:
            raise PlannerError("E_DIRTY", f"'{path}' cannot be written: {error.strerror}") from None
        written.append(path)
    return ScaffoldResult(change, tuple(written), tuple(kept))


def _link_error(error: UnreadableError) -> PlannerError:
    return PlannerError("E_DIRTY", str(error), hint="replace it with a folder; nothing was written")
