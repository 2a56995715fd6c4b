"""Merging two tips of a plan's branch into one tree, without a worktree; git need not know our driver.

git merges what is not ours. Documents that both sides changed are merged by our rules, and a plan as a whole:
a task whose number is taken finds another one even beyond its page.
"""

from __future__ import annotations

import os
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
from git_planner.gitio.git_failure import failure
from git_planner.gitio.history import Change
from git_planner.gitio.objects import read_tree, splice
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.plans import plan as plans
from git_planner.rules.plans.merge_plan import merge_documents, merge_duplicates

_FILE = "100644"


@dataclass(frozen=True, slots=True)
class United:
    """Two tips in one tree. `told`: what gave way and became a note, or got another number."""

    tree: str
    told: tuple[str, ...]


def united(repo: Repository, plan: str, ours: str, theirs: str) -> United:
    """Merge two commits of a plan's branch; nothing is moved.

    Args:
        repo: the repository.
        plan: the plan's name.
        ours, theirs: the commits.

    Raises:
        PlannerError: E_MERGE for what a person has to settle; E_JSON, E_SCHEMA for documents that are broken.
    """
    start = history.merge_base(repo.git, ours, theirs) or repo.git.line("mktree", stdin=b"")
    our = {each.path: each for each in history.changes(repo.git, start, ours)}
    their = {each.path: each for each in history.changes(repo.git, start, theirs)}
    tree, open_paths = _by_git(repo, ours, theirs)
    edits: dict[str, bytes] = {}
    told: list[str] = []
    with repo.git.batch() as batch:
        if any(_page(plan, path) for path in our) and any(_page(plan, path) for path in their):
            edits |= _plan(repo, plan, batch, (start, ours, theirs), told)
        for path in our.keys() & their.keys():
            if not _page(plan, path) and not merge_driver.whole(path):
                merged = _file(batch, start, our[path], their[path], told)
                edits |= {} if merged is None else {path: merged}
        both = {path for path in our.keys() & their.keys() if our[path].new != their[path].new}
        edits |= _folders(
            batch, {path.rpartition("/")[0] for path in both if merge_driver.whole(path)}, ours, theirs
        )
        left = sorted(path for path in open_paths if path not in edits)
        if left:
            raise PlannerError(
                "E_MERGE",
                f"both sides of '{refnames.PLAN}{plan}' changed '{left[0]}', and they do not merge",
                hint=f"merge it by hand in a worktree: 'git worktree add FOLDER {refnames.PLAN}{plan}'",
                details=left,
            )
        return United(splice(repo.git, batch, tree, edits) if edits else tree, tuple(told))


def _by_git(repo: Repository, ours: str, theirs: str) -> tuple[str, list[str]]:
    """The tree as git merges it, and the paths that it cannot."""
    # A record that looks like another one is not a renamed one; and what the driver would do is done here.
    settings = ("merge.renames=false", "merge.directoryRenames=false", "merge.planner.driver=true")
    words = [word for each in settings for word in ("-c", each)]
    words += ["merge-tree", "--write-tree", "--no-messages", "--name-only", "-z"]
    result = repo.git.run(*words, "--allow-unrelated-histories", ours, theirs)
    if result.status not in (0, 1):
        raise failure(("merge-tree",), result, repo.git.cwd)
    tree, *paths = [os.fsdecode(each) for each in result.stdout.split(b"\0") if each]
    return tree, paths


def _page(plan: str, path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return folder == refnames.plan_dir(plan) and pages.is_page(name)


def _plan(
    repo: Repository, plan: str, batch: Batch, commits: tuple[str, str, str], told: list[str]
) -> dict[str, bytes]:
    """The pages of the merged plan, by path."""
    own, folder = Pages(repo, plan), refnames.plan_dir(plan)
    seen = [_pages(own, Snapshot(refnames.plan_ref(plan), commits[0], batch))]
    seen += [own.read(Snapshot(refnames.plan_ref(plan), each, batch)) for each in commits[1:]]
    base, *sides = [
        merge_duplicates(plans.join_pages(each)).document if pages.FIRST_PAGE in each else None
        for each in seen
    ]
    if None in sides:
        raise PlannerError(
            "E_MERGE",
            f"one side of '{refnames.PLAN}{plan}' has no '{folder}/{pages.FIRST_PAGE}'",
            hint=f"look at both with 'git log {refnames.PLAN}{plan}'",
        )
    merged = merge_documents(base, *sides, whole=True)
    if merged.conflicts:
        raise merge_driver.unsettled(f"{refnames.PLAN}{plan}:{folder}/{pages.FIRST_PAGE}", merged.conflicts)
    told += merged.told
    return {
        f"{folder}/{name}": _written(f"{folder}/{name}", page, [each.get(name) for each in seen[1:]])
        for name, page in plans.split_plan(merged.document).items()
    }


def _pages(own: Pages, seen: Snapshot) -> dict[str, dict[str, Any]]:
    """The pages that both sides come from; what was broken then is as good as none."""
    try:
        return own.read(seen)
    except PlannerError:
        return {}


def _written(path: str, page: Mapping[str, Any], known: list[Any]) -> bytes:
    # What a side has just so has been judged when it was read.
    if page not in known:
        documents.check("plan", page, path)
    return canonical_json.dumps(page)


def _file(batch: Batch, start: str, our: Change, their: Change, told: list[str]) -> bytes | None:
    """A file that both sides changed, as our rules merge it; None where git's word counts."""
    path = our.path
    if our.new == their.new or (our.new_mode, their.new_mode) != (_FILE, _FILE):
        return None
    base = batch.read(f"{start}:{path}") if our.status != "A" else None
    ours, theirs = batch.read(our.new) or b"", batch.read(their.new) or b""
    if merge_driver.grows(path):
        return _both(base or b"", ours, theirs)
    if not path.endswith(".json") or not merge_driver.is_ours(ours, theirs):
        return None
    result, lost = merge_driver.merged(path, base or b"", ours, theirs)
    told += lost
    return result


def _folders(batch: Batch, folders: Iterable[str], ours: str, theirs: str) -> dict[str, bytes]:
    """Folders that both sides made: one under its name, the other one beside it."""
    edits = {}
    for folder in folders:
        found = [batch.info(f"{commit}:{folder}") for commit in (ours, theirs)]
        first, second = sorted(each[0] for each in found if each)
        for oid, place in ((first, folder), (second, f"{folder}-{second[:8]}")):
            for name, entry in read_tree(batch, oid).items():
                if entry.kind == "blob":
                    edits[f"{place}/{name}"] = batch.read(entry.oid) or b""
    return edits


def _both(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """A text that only grows, with what both sides added."""
    with tempfile.TemporaryDirectory(prefix="git-planner-") as folder:
        paths = [Path(folder, name) for name in ("ours", "base", "theirs")]
        for path, content in zip(paths, (ours, base, theirs), strict=True):
            path.write_bytes(content)
        merge_driver.by_line(paths[1], paths[0], paths[2], union=True)
        return paths[0].read_bytes()
