"""`git plan spec archive`: move a finished change to the archive."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from git_planner.errors import PlannerError
from git_planner.flows.specs.source import UnreadableError, WorkingTree, working_tree
from git_planner.flows.specs.validate import parse_slug
from git_planner.gitio.history import list_refs
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Store
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.plans import plan as plans
from git_planner.rules.specs import change as specs
from git_planner.rules.tasks.task import CLOSED

_MAX_DETAILS = 20


@dataclass(frozen=True, slots=True)
class ArchiveResult:
    """Result of archiving: old and new folder; `staged` when the files are tracked and the move is staged.

    `unfinished` are its open tasks, as 'plan/task_001', when the move was forced.
    """

    change: str
    before: str
    after: str
    staged: bool
    unfinished: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/spec-archived@1",
            "change": self.change,
            "from": self.before,
            "to": self.after,
            "staged": self.staged,
            "unfinished": list(self.unfinished),
        }


def archive_change(repo: Repository, name: str, *, force: bool = False) -> ArchiveResult:
    """Move the folder of a change to the archive, in the working tree.

    Args:
        repo: the repository.
        name: the change.
        force: move it although it has open tasks.

    Raises:
        PlannerError: E_NAME; E_SPEC for an unknown change; E_UNFINISHED; E_USAGE in a bare repository;
            E_DIRTY when it cannot be moved.
    """
    slug, tree = parse_slug(name), working_tree(repo)
    before = specs.change_folder(slug)
    after = f"{specs.ARCHIVE}/{repo.now()[:10]}-{slug}"
    _check_paths(tree, before, after, slug)
    unfinished = tuple(_unfinished_tasks(repo, slug))
    if unfinished and not force:
        raise PlannerError(
            "E_UNFINISHED",
            f"'{slug}' has {len(unfinished)} open tasks, such as {unfinished[0]}",
            hint="finish, defer or cancel them, or add '--force'",
            details=unfinished[:_MAX_DETAILS],
        )
    return ArchiveResult(slug, before, after, _move_folder(repo, tree, before, after), unfinished)


def _check_paths(tree: WorkingTree, before: str, after: str, slug: str) -> None:
    try:
        source, target = tree.safe_path(before), tree.safe_path(after)
    except UnreadableError as error:
        raise PlannerError("E_DIRTY", str(error), hint="put a folder in its place") from None
    if not source.is_dir():
        raise PlannerError(
            "E_SPEC",
            f"there is no change '{slug}': '{before}' is missing",
            hint="git plan spec validate",
        )
    if target.exists():
        raise PlannerError(
            "E_DIRTY", f"'{after}' exists already", hint="rename it, or archive the change tomorrow"
        )


def _unfinished_tasks(repo: Repository, slug: str) -> Iterator[str]:
    """Yield the open tasks of a change in all plans."""
    refs = list_refs(repo, refnames.HEADS + refnames.PLAN)
    plan_names = [
        name for ref in refs if plans.is_plan_name(name := ref.removeprefix(refnames.HEADS + refnames.PLAN))
    ]
    for name in plan_names:
        ref = refnames.plan_ref(name)
        files = Store(repo).read_all([ref], refnames.plan_dir(name))[ref]
        for page in pages.sort_pages(files):
            document = canonical_json.loads(files[page], f"{refnames.PLAN}{name}:{page}")
            for task in document["tasks"]:
                spec = task.get("spec")
                if spec and spec["change"] == slug and task["status"] not in CLOSED:
                    yield f"{name}/{task['id']}"


def _move_folder(repo: Repository, tree: WorkingTree, before: str, after: str) -> bool:
    """Move a folder, with git when it has tracked files; return whether it has."""
    target = tree.top / after
    target.parent.mkdir(parents=True, exist_ok=True)
    if repo.git.names("ls-files", "-z", "--", f":(top,literal){before}"):
        repo.git.bytes("mv", "--", before, after)
        return True
    try:
        os.rename(tree.top / before, target)
    except OSError as error:
        raise PlannerError("E_DIRTY", f"'{before}' cannot be moved: {error.strerror}") from None
    return False
