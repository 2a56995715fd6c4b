"""Find the commits of the base branch that brought the change of commits which it does not have itself.

A hosting site may squash or rebase what it merges, and the branch may then be deleted. The new commit is
found by its content: merging the old one into it changes nothing, and merging it into the parent does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from git_planner.errors import PlannerError
from git_planner.gitio import history
from git_planner.gitio.fresh.quarantine import quarantine
from git_planner.gitio.objects import commit_tree, merge_trees, splice
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.tasks.follow_history import History, HistoryBranch, possibly_carried
from git_planner.rules.tasks.task import Task

# Commits of the base branch that are compared for one lost commit: the newest that touch its paths.
_MAX_COMPARED = 200
_MAX_PATHS = 500
_MAX_LATER = 20
# One change is one object, whenever it is compared.
_DATE = "100000000 +0000"


def with_landed_work(
    repo: Repository, tasks: Iterable[Task], branches: Sequence[HistoryBranch], work_history: History
) -> History:
    """Return a history that knows which commits of the base branch carry lost or verified work."""
    wanted = dict.fromkeys(oid for task in tasks for oid in possibly_carried(task, work_history))
    tips = _base_tips(branches) if wanted else []
    carried: dict[str, str] = {}
    for oid in wanted if tips else ():
        landed = _first_landed(repo, [oid, *_later_work(repo, oid, list(wanted))], tips, work_history)
        if landed is not None:
            carried[oid] = landed
    return work_history._replace(carried=carried)


def _first_landed(
    repo: Repository, candidates: Sequence[str], tips: Sequence[str], work_history: History
) -> str | None:
    for oid in candidates:
        for tip in tips:
            # A commit that is gone, or shares no history with the base, is not found there.
            with suppress(PlannerError):
                landed = _find_landed(repo, oid, tip)
                if landed in work_history.commits and landed not in work_history.reverted:
                    return landed
    return None


def _later_work(repo: Repository, oid: str, known: Sequence[str]) -> list[str]:
    """Return commits made on top of one, newest first: its branch may have been merged with them."""
    with suppress(PlannerError):
        return history.descendants(repo.git, oid, known, _MAX_LATER)
    return []


def _base_tips(branches: Sequence[HistoryBranch]) -> list[str]:
    """Return the tips of the base branch: here, and on the remotes, which may be ahead."""
    trunk = next((branch for branch in branches if branch.trunk), None)
    if trunk is None:
        return []
    name = _name(trunk)
    others = [branch for branch in branches if branch.remote and branch != trunk and _name(branch) == name]
    return list(dict.fromkeys(branch.tip for branch in (trunk, *others)))


def _name(branch: HistoryBranch) -> str:
    """Return a branch's name without that of its remote."""
    return branch.ref.split("/", 3 if branch.remote else 2)[-1]


def _find_landed(repo: Repository, oid: str, tip: str) -> str:
    """Return the commit that brought the change of another one to a branch; empty when none did."""
    start = history.merge_base(repo.git, tip, oid)
    if start is None or start == oid:
        return ""
    with repo.git.batch() as batch:
        info = batch.info(f"{oid}^{{tree}}")
        # The state of an iteration stays on its branch.
        tree = splice(repo.git, batch, info[0] if info else None, {refnames.STATE_FILE: None})
    paths = [change.path for change in history.changes(repo.git, start, tree)]
    if not paths:
        return ""
    change = commit_tree(repo.git, tree, (start,), "the change of a commit\n", date=_DATE)
    candidates = history.first_parents(
        repo.git, start, tip, paths if len(paths) <= _MAX_PATHS else (), _MAX_COMPARED
    )
    with quarantine(repo.git, repo.common) as place:
        # The merges are looked at only, and leave nothing in the repository.
        for candidate in candidates:
            if _has_change(repo, candidate, change, place.env):
                # What its parent had already came with an earlier commit.
                is_earlier = candidate == candidates[0] and _has_change(
                    repo, f"{candidate}^1", change, place.env
                )
                return "" if is_earlier else candidate
    return ""


def _has_change(repo: Repository, commit: str, change: str, env: Mapping[str, str]) -> bool:
    tree, conflicts = merge_trees(repo, commit, change, env=env)
    return not conflicts and tree == repo.resolve(commit, "tree")
