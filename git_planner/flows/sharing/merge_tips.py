"""Merge two tips of a plan branch into one tree, without a worktree or an installed merge driver.

git merges foreign files. Documents changed on both sides are merged by field. The pages of a plan are merged
together, since a renumbered task may move to another page.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.plans.page_store import Pages
from git_planner.flows.sharing import merge_driver
from git_planner.gitio import history
from git_planner.gitio.git import Batch
from git_planner.gitio.history import TreeChange
from git_planner.gitio.objects import merge_trees, read_tree, splice
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.plans import plan as plans
from git_planner.rules.plans.merge_plan import merge_documents, merge_duplicates

_FILE_MODE = "100644"


@dataclass(frozen=True, slots=True)
class MergedTips:
    """The merged tree. `notes` describe dropped values and renumbered tasks."""

    tree: str
    notes: tuple[str, ...]


def merge_tips(repo: Repository, plan: str, ours: str, theirs: str) -> MergedTips:
    """Merge two commits of a plan branch; no ref is moved.

    Args:
        repo: the repository.
        plan: the plan's name.
        ours, theirs: the commits.

    Raises:
        PlannerError: E_MERGE for conflicts; E_JSON, E_SCHEMA for invalid documents.
    """
    start = history.merge_base(repo.git, ours, theirs) or repo.git.line("mktree", stdin=b"")
    our_changes = {change.path: change for change in history.changes(repo.git, start, ours)}
    their_changes = {change.path: change for change in history.changes(repo.git, start, theirs)}
    tree, unmerged_paths = _merge_with_git(repo, ours, theirs)
    edits: dict[str, bytes] = {}
    notes: list[str] = []
    with repo.git.batch() as batch:
        if any(_is_page(plan, path) for path in our_changes) and any(
            _is_page(plan, path) for path in their_changes
        ):
            edits |= _merge_pages(repo, plan, batch, (start, ours, theirs), notes)
        for path in our_changes.keys() & their_changes.keys():
            if not _is_page(plan, path) and not merge_driver.is_packet(path):
                merged = _merge_file(batch, start, our_changes[path], their_changes[path], notes)
                edits |= {} if merged is None else {path: merged}
        common_paths = {
            path
            for path in our_changes.keys() & their_changes.keys()
            if our_changes[path].new != their_changes[path].new
        }
        edits |= _keep_both_folders(
            batch,
            {path.rpartition("/")[0] for path in common_paths if merge_driver.is_packet(path)},
            ours,
            theirs,
        )
        conflicts = sorted(path for path in unmerged_paths if path not in edits)
        if conflicts:
            raise PlannerError(
                "E_MERGE",
                f"conflict in '{conflicts[0]}' of '{refnames.PLAN}{plan}': both sides changed it",
                hint=f"merge it by hand in a worktree: 'git worktree add FOLDER {refnames.PLAN}{plan}'",
                details=conflicts,
            )
        return MergedTips(splice(repo.git, batch, tree, edits) if edits else tree, tuple(notes))


def _merge_with_git(repo: Repository, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
    """Merge with git; return the tree and the conflicting paths."""
    # Similar records are not renames, and the driver's documents are merged afterwards.
    settings = ("merge.renames=false", "merge.directoryRenames=false", "merge.planner.driver=true")
    return merge_trees(repo, ours, theirs, settings=settings, options=("--allow-unrelated-histories",))


def _is_page(plan: str, path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return folder == refnames.plan_dir(plan) and pages.is_page(name)


def _merge_pages(
    repo: Repository, plan: str, batch: Batch, commits: tuple[str, str, str], notes: list[str]
) -> dict[str, bytes]:
    """Merge the pages of a plan; return them by path."""
    page_store, folder = Pages(repo, plan), refnames.plan_dir(plan)
    versions = [_base_pages(page_store, Snapshot(refnames.plan_ref(plan), commits[0], batch))]
    versions += [page_store.read(Snapshot(refnames.plan_ref(plan), commit, batch)) for commit in commits[1:]]
    base, *sides = [
        merge_duplicates(plans.join_pages(version)).document if pages.FIRST_PAGE in version else None
        for version in versions
    ]
    if None in sides:
        raise PlannerError(
            "E_MERGE",
            f"one side of '{refnames.PLAN}{plan}' has no '{folder}/{pages.FIRST_PAGE}'",
            hint=f"look at both with 'git log {refnames.PLAN}{plan}'",
        )
    merged = merge_documents(base, *sides, complete=True)
    if merged.conflicts:
        raise merge_driver.conflict_error(
            f"{refnames.PLAN}{plan}:{folder}/{pages.FIRST_PAGE}", merged.conflicts
        )
    notes += merged.notes
    return {
        f"{folder}/{name}": _page_bytes(
            f"{folder}/{name}", page, [version.get(name) for version in versions[1:]]
        )
        for name, page in plans.split_plan(merged.document).items()
    }


def _base_pages(page_store: Pages, snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """Read the pages of the common ancestor; none if they are invalid."""
    try:
        return page_store.read(snapshot)
    except PlannerError:
        return {}


def _page_bytes(path: str, page: Mapping[str, Any], checked: list[Any]) -> bytes:
    # An unchanged page of one side was validated when it was read.
    if page not in checked:
        documents.check("plan", page, path)
    return canonical_json.dumps(page)


def _merge_file(
    batch: Batch, start: str, our_change: TreeChange, their_change: TreeChange, notes: list[str]
) -> bytes | None:
    """Merge a document that both sides changed; None where the merge by git counts."""
    path = our_change.path
    if our_change.new == their_change.new or (our_change.new_mode, their_change.new_mode) != (
        _FILE_MODE,
        _FILE_MODE,
    ):
        return None
    base = batch.read(f"{start}:{path}") if our_change.status != "A" else None
    ours, theirs = batch.read(our_change.new) or b"", batch.read(their_change.new) or b""
    if merge_driver.only_grows(path):
        return _merge_lines(base or b"", ours, theirs)
    if not path.endswith(".json") or not merge_driver.may_be_document(ours, theirs):
        return None
    result, overridden = merge_driver.merge_document(path, base or b"", ours, theirs)
    notes += overridden
    return result


def _keep_both_folders(batch: Batch, folders: Iterable[str], ours: str, theirs: str) -> dict[str, bytes]:
    """Keep folders that both sides created: one under its name, the other under a suffixed name."""
    edits = {}
    for folder in folders:
        entries = [batch.info(f"{commit}:{folder}") for commit in (ours, theirs)]
        first, second = sorted(entry[0] for entry in entries if entry)
        for oid, target in ((first, folder), (second, f"{folder}-{second[:8]}")):
            for name, entry in read_tree(batch, oid).items():
                if entry.kind == "blob":
                    edits[f"{target}/{name}"] = batch.read(entry.oid) or b""
    return edits


def _merge_lines(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """Merge an append-only text: keep the additions of both sides."""
    with tempfile.TemporaryDirectory(prefix="git-planner-") as folder:
        paths = [Path(folder, name) for name in ("ours", "base", "theirs")]
        for path, content in zip(paths, (ours, base, theirs), strict=True):
            path.write_bytes(content)
        merge_driver.merge_lines(paths[1], paths[0], paths[2], union=True)
        return paths[0].read_bytes()
