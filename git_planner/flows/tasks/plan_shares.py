"""Read which commits without a stated plan belong to a plan: those that it lists, and no other plan does.

A commit belongs to the plan that was current when it was made. Its message says so only with a trailer. Else
the plans remember: each lists the commits of its tasks, and `git plan use` notes where the branches were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.gitio.git import Batch
from git_planner.gitio.history import Logged, list_refs, log
from git_planner.gitio.objects import read_tree
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.tasks.follow_history import NO_SHARES, HistoryCommit, PlanShares, read_commit
from git_planner.rules.tasks.task import task_id_for

_FOLDER = "plan-starts"


def read_shares(
    repo: Repository, plan: str, plan_pages: Mapping[str, Mapping[str, Any]], commits: Sequence[HistoryCommit]
) -> PlanShares:
    """Read the shares of a plan and of the other plans.

    Args:
        repo: the repository.
        plan: the plan's name.
        plan_pages: its pages.
        commits: the commits on branches, as read.
    """
    other_plans = _other_plans(repo, plan)
    starts = _read_start(repo, plan)
    if not other_plans and not starts:
        return NO_SHARES
    own = _listed(plan_pages.values())
    with repo.git.batch() as batch:
        others = _listed(page for name in other_plans for page in _pages(batch, name)) - own
        known = {commit.oid: commit for commit in commits}
        lost = [oid for oid in sorted(own | others) if oid not in known and batch.info(oid) is not None]
    entries = log(repo.git, lost, walk=False) if lost else []
    known |= {entry.oid: parse_commit(entry) for entry in entries}
    own_origins = _origins(known, own)
    return PlanShares(own | own_origins, others | _origins(known, others) - own_origins, starts)


def is_shared(batch: Batch, repo: Repository, plan: str, commits: Iterable[HistoryCommit]) -> bool:
    """Return whether another plan lists one of the commits for a task that it names."""
    unstated = [commit for commit in commits if commit.plan is None and commit.tasks]
    for name in _other_plans(repo, plan) if unstated else ():
        for commit in unstated:
            for number in commit.tasks:
                path = f"{refnames.plan_dir(name)}/{pages.page_name(number)}"
                page = batch.read(f"{refnames.plan_ref(name)}:{path}") or b""
                at = page.find(f'"{task_id_for(number)}"'.encode())
                if at >= 0 and commit.oid.encode() in page:
                    return True
    return False


def parse_commit(entry: Logged) -> HistoryCommit:
    """Parse one commit of a log."""
    return read_commit(
        entry.oid,
        entry.tree,
        entry.parents,
        subject=entry.subject,
        tasks=entry.tasks,
        plan=entry.plan,
        body=entry.body,
        author=entry.author,
    )


def note_start(repo: Repository, plan: str) -> None:
    """Note where all branches are now that a plan becomes the current one."""
    tips = sorted(set(list_refs(repo, refnames.HEADS, "refs/remotes/").values()))
    path = repo.private(_FOLDER, plan)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write(path, "".join(f"{oid}\n" for oid in tips).encode())


def _read_start(repo: Repository, plan: str) -> tuple[str, ...]:
    with suppress(OSError, ValueError):
        return tuple(atomic_file.read(repo.private(_FOLDER, plan)).decode("ascii").split())
    return ()


def _other_plans(repo: Repository, plan: str) -> list[str]:
    names = []
    for ref in list_refs(repo, refnames.HEADS + refnames.PLAN):
        name = ref.removeprefix(refnames.HEADS + refnames.PLAN)
        with suppress(PlannerError):
            names += [refnames.check_plan_name(name)] if name != plan else []
    return names


def _pages(batch: Batch, plan: str) -> Iterable[Mapping[str, Any]]:
    """Yield the pages of a plan; damaged ones are of no interest to other plans."""
    folder = f"{refnames.plan_ref(plan)}:{refnames.plan_dir(plan)}"
    for name in pages.sort_pages(read_tree(batch, folder)):
        with suppress(PlannerError):
            page = canonical_json.loads_trusted(batch.read(f"{folder}/{name}") or b"")
            if isinstance(page, dict):
                yield page


def _listed(plan_pages: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    oids: set[str] = set()
    for page in plan_pages:
        with suppress(KeyError, TypeError):
            oids |= {str(oid) for task in page["tasks"] for oid in task["commits"]}
    return frozenset(oids)


def _origins(known: Mapping[str, HistoryCommit], oids: Iterable[str]) -> frozenset[str]:
    return frozenset(known[oid].origin for oid in oids if oid in known and known[oid].origin)
