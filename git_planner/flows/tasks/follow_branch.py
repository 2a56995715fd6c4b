"""Advance a plan from the Git history: incrementally for one moved branch, or from all branches.

Hooks call this at every commit that names a task, so few modules are loaded. A commit that a hook missed is
picked up by the next hook or by `git plan sync`: the incremental path remembers the last tip read of each
branch, and reads all branches when more than a few new commits are on top of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.flows.plans.page_store import Pages
from git_planner.flows.tasks.landed_work import with_landed_work
from git_planner.flows.tasks.plan_shares import is_shared, parse_commit, read_shares
from git_planner.gitio.git import Batch
from git_planner.gitio.history import list_ref_fields, log
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Delete, Message, Snapshot, Step, Store, Write
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.tasks.follow_history import (
    History,
    HistoryBranch,
    HistoryCommit,
    advance_task,
    build_history,
)
from git_planner.rules.tasks.task import Task, task_from, task_id_for, task_number

# From a task and its history to the task with further evidence, and the reason; None without any.
EvidenceSource = Callable[[Task, History], tuple[Task, str | None]]
# With more new commits than this, all branches are read.
_MAX_QUICK_COMMITS = 50
_DEFAULT_TRUNKS = ("main", "master")


class TaskChange(NamedTuple):
    """A changed task: before, after, and the reason."""

    before: Task
    after: Task
    why: str


class AdvanceResult(NamedTuple):
    """Result of advancing a plan: the changed tasks, and ids that commits name but the plan lacks.

    `held` are tasks claimed by a run or a live process, which alone may move them.
    """

    plan: str
    changes: tuple[TaskChange, ...] = ()
    unknown: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


class _AdvanceState:
    """Result of the latest decision; the store may decide again after a lost race."""

    def __init__(self) -> None:
        self.edits: dict[str, bytes | None] = {}
        self.changes: list[TaskChange] = []
        self.unknown: list[str] = []
        self.held: list[str] = []
        self.is_unsure = False

    def result(self, plan: str) -> AdvanceResult:
        return AdvanceResult(plan, tuple(self.changes), tuple(self.unknown), tuple(self.held))


def configured_plan(repo: Repository) -> str:
    """Return the configured plan name, without reading all settings, which would slow down every commit."""
    return os.environ.get("GIT_PLANNER_PLAN") or repo.config("planner.plan") or "default"


def advance_branch(repo: Repository, ref: str) -> list[AdvanceResult]:
    """Advance the plans that a moved branch concerns.

    Args:
        repo: the repository.
        ref: its full name.

    Returns:
        One result for each plan; `unknown` has only ids that the branch's new commits name.

    Raises:
        PlannerError: E_CHECKED_OUT when the plan is checked out with local changes; E_CONFLICT, E_JSON,
            E_SCHEMA, E_GIT.
    """
    with repo.git.batch() as batch:
        tip = batch.info(ref)
        if tip is None:
            return []
        state = batch.read(f"{tip[0]}:{refnames.STATE_FILE}")
        iteration = iteration_of(state) if refnames.parse_iteration(ref) else None
        plan = iteration[0] if iteration else configured_plan(repo)
        if batch.info(refnames.plan_ref(plan)) is None:
            return []
        new_commits = _new_commits(repo, plan, ref, tip[0])
        if (
            new_commits is None
            or (state is not None and iteration is None)
            or is_shared(batch, repo, plan, new_commits)
        ):
            newest = [parse_commit(commit) for commit in log(repo.git, [f"{tip[0]}^!"])]
            return [_without_old_unknowns(advance_plan(repo, plan), newest)]
        result = _advance_quickly(
            Pages(repo, plan), [commit for commit in new_commits if commit.plan in (None, plan)], batch
        )
    others = sorted(
        {commit.plan for commit in new_commits if commit.tasks and commit.plan not in (None, plan)}
    )
    results = [
        _without_old_unknowns(advance_plan(repo, name), new_commits)
        for name in others
        if name is not None and _is_plan_name(name) and repo.maybe(refnames.plan_ref(name)) is not None
    ]
    if result is None:
        return [*results, _without_old_unknowns(advance_plan(repo, plan), new_commits)]
    _write_tips(repo, plan, {**_read_tips(repo, plan), ref: tip[0]})
    return [*results, result]


def advance_plan(
    repo: Repository, plan: str, *, prove: EvidenceSource | None = None, dry_run: bool = False
) -> AdvanceResult:
    """Advance a plan from all branches of the repository.

    Args:
        repo: the repository.
        plan: the plan's name.
        prove: adds further evidence to a task, such as records.
        dry_run: only report the changes.

    Raises:
        PlannerError: E_NO_PLAN, and as `advance_branch`.
    """
    ref, page_store = refnames.plan_ref(plan), Pages(repo, plan)
    with repo.git.batch() as batch:
        # Read the plan before the branches, so that every commit it lists is on one of them.
        plan_pages = page_store.read(Store(repo).snapshot(ref, batch))
    if pages.FIRST_PAGE not in plan_pages:
        from git_planner.flows.plans.page_store import missing_plan

        raise missing_plan(plan, repo)
    branches = read_branches(repo, plan_pages[pages.FIRST_PAGE])
    work_history = read_history(repo, plan, plan_pages, branches)
    outcome = _AdvanceState()
    decision = _AdvanceDecision(page_store, work_history, outcome, prove)

    def decide(snapshots: Mapping[str, Snapshot]) -> list[Step]:
        current_pages = page_store.read(snapshots[ref])
        return decision.steps(current_pages, _affected_numbers(current_pages, work_history), snapshots)

    if dry_run:
        decision.steps(plan_pages, _affected_numbers(plan_pages, work_history), {})
    else:
        Store(repo).transact([ref, *_claim_refs(repo, plan)], decide)
        page_store.mark_valid(outcome.edits)
        _write_tips(repo, plan, {branch.ref: branch.tip for branch in branches if not branch.remote})
    return outcome.result(plan)


def read_branches(repo: Repository, about: Mapping[str, Any]) -> list[HistoryBranch]:
    """Read local and remote-tracking branches, except those of plans and tournaments.

    Args:
        repo: the repository.
        about: the plan's first page.
    """
    listed = list_ref_fields(repo, ("objectname", "objecttype"), (refnames.HEADS, "refs/remotes/"))
    tips: dict[str, str] = {}
    for ref, (oid, kind) in listed.items():
        short = ref.split("/", 2 if ref.startswith(refnames.HEADS) else 3)[-1]
        if (
            kind == "commit"
            and not short.startswith((refnames.PLAN, refnames.TOURNAMENT))
            and short != "HEAD"
        ):
            tips[ref] = oid
    iterations = [ref for ref in tips if refnames.parse_iteration(ref)]
    states = Store(repo).read_all(iterations, ".advisor") if iterations else {}
    trunk = _find_trunk(repo, about, tips)
    branches = []
    for ref, oid in tips.items():
        plan, base = iteration_of(states.get(ref, {}).get("state.json")) or (None, None)
        remote = not ref.startswith(refnames.HEADS)
        branches.append(HistoryBranch(ref, oid, plan, base, trunk=ref == trunk, remote=remote))
    return branches


def read_history(
    repo: Repository,
    plan: str,
    plan_pages: Mapping[str, Mapping[str, Any]],
    branches: Sequence[HistoryBranch],
) -> History:
    """Read the commits of a plan's tasks from the branches.

    Args:
        repo: the repository.
        plan: the plan's name.
        plan_pages: all its pages.
        branches: the branches, read after the pages.
    """
    base = repo.maybe(plan_pages[pages.FIRST_PAGE]["base"])
    exclusions = [f"^{base}"] if base else []
    commits = [
        parse_commit(entry) for entry in log(repo.git, [*(branch.tip for branch in branches), *exclusions])
    ]
    known_oids = {commit.oid for commit in commits}
    listed = {oid for page in plan_pages.values() for task in page["tasks"] for oid in task["commits"]}
    off_branch = _find_off_branch(repo, sorted(listed - known_oids), exclusions)
    shares = read_shares(repo, plan, plan_pages, commits)
    work_history = build_history(commits, branches, plan, configured_plan(repo), off_branch, shares=shares)
    tasks = (task_from(task) for page in plan_pages.values() for task in page["tasks"] if task["commits"])
    return with_landed_work(repo, tasks, branches, work_history)


def iteration_of(state: bytes | None) -> tuple[str, str] | None:
    """Return the plan and the base of an iteration's state; None for an invalid state."""
    with suppress(PlannerError, KeyError, TypeError):
        document = canonical_json.loads_trusted(state or b"")
        plan, base = document["plan"], document["base"]
        if isinstance(plan, str) and isinstance(base, str) and _is_plan_name(plan):
            return plan, base
    return None


def _new_commits(repo: Repository, plan: str, ref: str, tip: str) -> list[HistoryCommit] | None:
    """Read the new commits of a branch, oldest first; None when all branches have to be read."""
    old = _read_tips(repo, plan).get(ref)
    if old is None:
        return None
    with suppress(PlannerError):
        logged = log(repo.git, [f"{old}...{tip}"], sides=True)
        commits = [parse_commit(entry) for entry in reversed(logged)]
        is_rewritten = any(entry.side != ">" for entry in logged) or len(logged) > _MAX_QUICK_COMMITS
        if not is_rewritten and not any(
            commit.reverts or commit.reverted_request or len(commit.parents) > 1 for commit in commits
        ):
            return commits
    return None


def _without_old_unknowns(result: AdvanceResult, commits: Sequence[HistoryCommit]) -> AdvanceResult:
    """Drop unknown ids that none of these commits names."""
    named = {
        task_id_for(number)
        for commit in commits
        if commit.plan in (None, result.plan)
        for number in commit.tasks
    }
    return result._replace(unknown=tuple(name for name in result.unknown if name in named))


def _advance_quickly(
    page_store: Pages, new_commits: Sequence[HistoryCommit], batch: Batch
) -> AdvanceResult | None:
    """Add new commits to the tasks that they name; None when all branches have to be read."""
    work: dict[int, tuple[HistoryCommit, ...]] = {}
    for commit in new_commits:
        for number in commit.tasks:
            work[number] = (*work.get(number, ()), commit)
    if not work:
        return AdvanceResult(page_store.plan)
    work_history, outcome = History(work, {commit.oid: commit for commit in new_commits}), _AdvanceState()
    ref = refnames.plan_ref(page_store.plan)
    decision = _AdvanceDecision(page_store, work_history, outcome, quick=True)

    def decide(snapshots: Mapping[str, Snapshot]) -> list[Step]:
        plan_pages: dict[str, dict[str, Any]] = {}
        for page in sorted({pages.page_name(number) for number in work}):
            plan_pages |= page_store.read(snapshots[ref], page)
        return decision.steps(plan_pages, work.keys(), snapshots)

    claim_refs = (refnames.claim_ref(page_store.plan, task_id_for(number)) for number in work)
    tips = Store(page_store.repo, batch=batch).transact([ref, *claim_refs], decide)
    page_store.mark_valid(outcome.edits, Snapshot(ref, tips[ref], batch))
    return None if outcome.is_unsure else outcome.result(page_store.plan)


class _AdvanceDecision(NamedTuple):
    """Decide task changes from a history, and write them into `outcome`."""

    page_store: Pages
    work_history: History
    outcome: _AdvanceState
    prove: EvidenceSource | None = None
    quick: bool = False

    def steps(
        self,
        plan_pages: Mapping[str, Mapping[str, Any]],
        numbers: Iterable[int],
        snapshots: Mapping[str, Snapshot],
    ) -> list[Step]:
        """Return the steps for the tasks of some numbers, on snapshots of the plan and of claims."""
        page_store, outcome, deletions = self.page_store, self.outcome, list[Step]()
        outcome.changes, outcome.unknown, outcome.held, outcome.is_unsure = [], [], [], False
        documents = {
            task_number(document["id"]): document
            for page in plan_pages.values()
            for document in page["tasks"]
        }
        for number in sorted(numbers):
            if number not in documents:
                outcome.unknown.append(task_id_for(number))
                continue
            change = self._change(task_from(documents[number]))
            if change is None:
                continue
            ref = refnames.claim_ref(page_store.plan, change.after.id)
            claim = snapshots.get(ref)
            if change.after.status != change.before.status and claim is not None and claim.tip is not None:
                if _is_claimed_by_run(claim):
                    outcome.held.append(change.after.id)
                    continue
                deletions.append(Delete(ref))
            outcome.changes.append(change)
        outcome.edits = self._edits(plan_pages)
        return [
            Write(
                refnames.plan_ref(page_store.plan),
                outcome.edits,
                _advance_message(page_store.plan, outcome),
                masked=True,
            ),
            *deletions,
        ]

    def _edits(self, plan_pages: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes | None]:
        changes = self.outcome.changes
        if self.prove is not None or any(
            change.after.evidence != change.before.evidence for change in changes
        ):
            return self.page_store.task_edits(plan_pages, [change.after for change in changes])
        return self.page_store.followed_edits(
            plan_pages, [(change.before, change.after) for change in changes]
        )

    def _change(self, before: Task) -> TaskChange | None:
        if self.quick and before.proven:
            # Checking the evidence needs all commits of the task.
            self.outcome.is_unsure = True
            return None
        after, why = advance_task(before, self.work_history)
        reasons = [why] if why else []
        if self.prove is not None:
            proven, source = self.prove(after, self.work_history)
            if source is not None:
                after, why = advance_task(proven, self.work_history)
                reasons += [source, *([why] if why else [])]
        return TaskChange(before, after, "; ".join(reasons)) if reasons else None


def _is_claimed_by_run(snapshot: Snapshot) -> bool:
    """Return whether a run or a live process holds a claim; a dead run has to be recovered first."""
    from git_planner.flows.tasks.claim_refs import read_claim

    claim = read_claim(snapshot)
    if claim is None:
        return False
    return claim.run is not None or (claim.process is not None and claim.in_force())


def _claim_refs(repo: Repository, plan: str) -> list[str]:
    prefix = f"{refnames.CLAIMS}{plan}/"
    return [prefix + name for name in Store(repo).numbers(prefix)]


def _affected_numbers(plan_pages: Mapping[str, Mapping[str, Any]], work_history: History) -> set[int]:
    """Return the numbers of the tasks with commits, listed or new."""
    listed = {
        task_number(task["id"]) for page in plan_pages.values() for task in page["tasks"] if task["commits"]
    }
    return listed | work_history.work.keys()


def _find_off_branch(repo: Repository, oids: Sequence[str], exclusions: Sequence[str]) -> list[str]:
    """Return the commits that exist, are on no branch, and are newer than the plan's base."""
    with repo.git.batch() as batch:
        present = [oid for oid in oids if batch.info(oid) is not None]
    if not present:
        return []
    revisions = "".join(f"{revision}\n" for revision in (*present, *exclusions)).encode()
    later = set(repo.git.line("rev-list", "--stdin", stdin=revisions).split())
    return [oid for oid in present if oid in later]


def _find_trunk(repo: Repository, about: Mapping[str, Any], tips: Mapping[str, str]) -> str | None:
    """Return the ref of the base branch: from the configuration, the plan, or the default names."""
    for name in (repo.config("planner.base"), about["base_ref"], *_DEFAULT_TRUNKS):
        if name and not name.startswith(refnames.ITER):
            for ref in (refnames.HEADS + name, f"refs/remotes/origin/{name}"):
                if ref in tips:
                    return ref
    return None


def _is_plan_name(name: str) -> bool:
    with suppress(PlannerError):
        return bool(refnames.check_plan_name(name))
    return False


def _advance_message(plan: str, outcome: _AdvanceState) -> Message:
    statuses = [f"{change.after.id} {change.after.status}" for change in outcome.changes]
    more = f" and {len(statuses) - 3} more" if len(statuses) > 3 else ""
    task_ids = ", ".join(change.after.id for change in outcome.changes[:50])
    return Message(
        f"plan {plan}: advance {', '.join(statuses[:3])}{more}",
        (("Planner-Op", "task-advance"), ("Planner-Args", task_ids)),
    )


def _read_tips(repo: Repository, plan: str) -> dict[str, str]:
    """Read the last tip read of each branch for a plan; empty when the cache is missing."""
    with suppress(OSError, ValueError):
        text = atomic_file.read(repo.private("cache", "advance", plan)).decode("utf-8", "surrogateescape")
        return {ref: oid for oid, ref in (line.split(" ", 1) for line in text.splitlines())}
    return {}


def _write_tips(repo: Repository, plan: str, tips: Mapping[str, str]) -> None:
    path = repo.private("cache", "advance", plan)
    # Only a cache: without it the next hook reads all branches.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{oid} {ref}\n" for ref, oid in tips.items())
        atomic_file.write(path, lines.encode("utf-8", "surrogateescape"))
