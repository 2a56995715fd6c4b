"""Push and pull plans: `git plan push` and `git plan pull`.

Neither remote nor local commits are ever overwritten: diverged tips are joined by a merge commit. Only the
requested branches are pushed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.approval.pushed import align_approvals
from git_planner.flows.plans.base_commit import find_base
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.plans.page_store import Pages, missing_plan
from git_planner.flows.records import ledger
from git_planner.flows.sharing.check_remote import check_plan
from git_planner.flows.sharing.merge_tips import merge_tips
from git_planner.gitio import history, remote
from git_planner.gitio.objects import commit_tree
from git_planner.gitio.remote import Pushed, Update
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.plans.plan import is_plan_name
from git_planner.rules.policy.review_rule import ReviewRule

MAX_TRIES = 12
SyncAction = Literal["created", "followed", "merged", "unchanged", "ahead", "absent", "set_aside"]


@dataclass(frozen=True, slots=True)
class PlanSync:
    """Result for one plan. `tip` is its local commit; `notes` describe values that a merge dropped."""

    plan: str
    action: SyncAction
    tip: str | None
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {"plan": self.plan, "did": self.action, "tip": self.tip, "told": list(self.notes)}


@dataclass(frozen=True, slots=True)
class SharingResult:
    """Result of a pull or a push. `moved` maps the updated refs of the remote to object ids."""

    remote: str
    plans: tuple[PlanSync, ...]
    moved: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/shared@1",
            "remote": self.remote,
            "plans": [plan.document() for plan in self.plans],
            "moved": dict(self.moved),
        }


def pull(
    repo: Repository, remote_name: str | None, plan: str | None, progress: Progress, *, every: bool = False
) -> SharingResult:
    """Fetch plans from a remote and fast-forward or merge them, in one transaction.

    Args:
        repo: the repository.
        remote_name: the remote (default: from the settings).
        plan: the plan (default: the current one).
        progress: called with each progress message.
        every: pull all plans of the remote.

    Raises:
        PlannerError: E_REMOTE; E_NO_PLAN when the remote does not have the plan; E_JSON, E_SCHEMA when its
            plan is invalid; E_MERGE for conflicts; E_CHECKED_OUT, E_CONFLICT.
    """
    source = remote_name or read_settings(repo).remote
    remote_refs = remote.listing(repo, source, refnames.HEADS + refnames.PLAN + "*")
    if every:
        plan_names = sorted(name for name in map(_plan_of_ref, remote_refs) if name)
    else:
        plan_names = [current_plan(repo, plan)]
        if refnames.plan_ref(plan_names[0]) not in remote_refs:
            raise PlannerError(
                "E_NO_PLAN",
                f"'{source}' has no plan '{plan_names[0]}'",
                hint=f"git plan push {source} --plan {plan_names[0]}",
            )
    return SharingResult(
        source, _merge_plans(repo, source, plan_names, remote_refs, progress, every=every), {}
    )


def push(
    repo: Repository,
    remote_name: str | None,
    plan: str | None,
    progress: Progress,
    *,
    every: bool = False,
    work: bool = False,
) -> SharingResult:
    """Push plans atomically, each with a lease; concurrent updates are merged first.

    Args:
        repo: the repository.
        remote_name: the remote (default: from the settings).
        plan: the plan (default: the current one).
        progress: called with each progress message.
        every: push all local plans.
        work: push new commits of their task and iteration branches, too.

    Raises:
        PlannerError: as `pull`; E_NO_PLAN without a local plan; E_CONFLICT when every retry lost a race.
    """
    source = remote_name or read_settings(repo).remote
    local_refs = history.list_refs(repo, refnames.HEADS)
    all_names = sorted(name for name in map(_plan_of_ref, local_refs) if name)
    plan_names = all_names if every else [current_plan(repo, plan)]
    for name in plan_names:
        if refnames.plan_ref(name) not in local_refs:
            raise missing_plan(name, repo)
    synced: dict[str, PlanSync] = {}
    for attempt in range(MAX_TRIES):
        remote_refs = remote.listing(repo, source, refnames.HEADS + "*")
        shared = [name for name in plan_names if refnames.plan_ref(name) in remote_refs]
        for plan_sync in _merge_plans(repo, source, shared, remote_refs, progress, every=every):
            if plan_sync.action == "merged" or plan_sync.plan not in synced:
                synced[plan_sync.plan] = plan_sync
        sound = [name for name in plan_names if _is_sound(synced.get(name))]
        _align_approvals(repo, source, sound, remote_refs, progress)
        local_refs, refs = history.list_refs(repo, refnames.HEADS), list(map(refnames.plan_ref, sound))
        for name in plan_names if work else ():
            refs += _work_branches(repo, name, local_refs, remote_refs)
        updates = [
            Update(ref, local_refs[ref], remote_refs.get(ref))
            for ref in dict.fromkeys(refs)
            if local_refs[ref] != remote_refs.get(ref)
        ]
        result = remote.push(repo, source, updates, progress)
        if isinstance(result, Pushed):
            plans = [
                synced.get(name) or PlanSync(name, "absent", local_refs[refnames.plan_ref(name)])
                for name in plan_names
            ]
            return SharingResult(source, tuple(plans), result.moved)
        progress(f"'{source}' was updated concurrently (attempt {attempt + 1} of {MAX_TRIES})")
        time.sleep(random.uniform(0.0, min(0.05 * 2**attempt, 1.0)))
    raise PlannerError(
        "E_CONFLICT",
        f"'{source}' was updated during each of {MAX_TRIES} attempts; nothing was pushed",
        hint="run the same command again",
    )


def _align_approvals(
    repo: Repository, source: str, plans: Sequence[str], remote_refs: Mapping[str, str], progress: Progress
) -> None:
    """Take back what would approve something by being pushed; see `flows/approval/pushed.py`."""
    for plan in plans:
        tip = remote_refs.get(refnames.plan_ref(plan))
        for name in align_approvals(repo, plan, source, tip, partial(_review_remote, repo, plan)):
            progress(f"'{name}' is not pushed: '{source}' does not have it, and only a merge there approves")


def _review_remote(repo: Repository, plan: str) -> str:
    with suppress(PlannerError):
        return find_base(repo, plan, None).policy.review.remote
    return ReviewRule().remote


def _merge_plans(
    repo: Repository,
    source: str,
    plan_names: Sequence[str],
    remote_refs: Mapping[str, str],
    progress: Progress,
    *,
    every: bool,
) -> tuple[PlanSync, ...]:
    """Fetch plans and fast-forward or merge them, in one transaction; with `every` set invalid ones aside."""
    tips = {refnames.plan_ref(name): remote_refs[refnames.plan_ref(name)] for name in plan_names}
    missing = [ref for ref, oid in tips.items() if not history.is_complete(repo.git, oid)]
    if missing:
        remote.fetch_commits(repo, source, missing, progress)
        incomplete = [ref for ref in missing if not history.is_complete(repo.git, tips[ref])]
        if incomplete:
            raise PlannerError(
                "E_CONFLICT",
                f"'{refnames.short_name(incomplete[0])}' was reset on '{source}' during the fetch",
                hint="run the same command again",
            )
    checked = _check_plans(repo, source, tips, every=every)
    invalid = {name: result for name, result in checked.items() if isinstance(result, PlanSync)}
    sound = [name for name in plan_names if name not in invalid]
    synced: dict[str, PlanSync] = {}

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        synced.clear()
        steps: list[Step] = []
        for name in sound:
            ref = refnames.plan_ref(name)
            synced[name] = _merge_plan(repo, source, name, snapshots[ref].tip, tips[ref])
            steps += [Move(ref, oid) for oid in (synced[name].tip,) if oid and oid != snapshots[ref].tip]
        return steps

    if sound:
        Store(repo).transact([refnames.plan_ref(name) for name in sound], decide)
    for name, notes in checked.items():
        if isinstance(notes, tuple):
            synced[name] = replace(synced[name], notes=(*synced[name].notes, *notes))
    return tuple({**synced, **invalid}[name] for name in plan_names)


def _merge_plan(repo: Repository, source: str, name: str, ours: str | None, theirs: str) -> PlanSync:
    """Decide how a plan's branch takes over the remote tip; make the merge commit if they diverged."""
    if ours is None or (ours != theirs and history.is_ancestor(repo.git, ours, theirs)):
        return PlanSync(name, "created" if ours is None else "followed", theirs)
    if history.is_ancestor(repo.git, theirs, ours):
        return PlanSync(name, "unchanged" if ours == theirs else "ahead", ours)
    merged = merge_tips(repo, name, ours, theirs)
    trailers = (("Planner-Op", "pull"), ("Planner-Args", theirs))
    text = Message(f"merge {refnames.PLAN}{name} of {source}", trailers).text()
    return PlanSync(name, "merged", commit_tree(repo.git, merged.tree, (ours, theirs), text), merged.notes)


def _check_plans(
    repo: Repository, source: str, tips: Mapping[str, str], *, every: bool
) -> dict[str, PlanSync | tuple[str, ...]]:
    """Check fetched plans before any ref is moved; validated pages are not validated again.

    Returns:
        By plan: notes on what is ignored; the result for an invalid plan, which is set aside with `every`.
    """
    checked: dict[str, PlanSync | tuple[str, ...]] = {}
    for ref, oid in tips.items():
        name = str(_plan_of_ref(ref))
        try:
            checked[name] = check_plan(repo, source, name, oid)
        except PlannerError as error:
            if not every:
                raise
            checked[name] = PlanSync(name, "set_aside", repo.maybe(ref), (error.message,))
    return checked


def _is_sound(plan_sync: PlanSync | None) -> bool:
    return plan_sync is None or plan_sync.action != "set_aside"


def _work_branches(
    repo: Repository, plan: str, local_refs: Mapping[str, str], remote_refs: Mapping[str, str]
) -> Iterator[str]:
    """Yield the branches of a plan's tasks and iterations that are new or ahead of the remote."""
    with repo.git.batch() as batch:
        snapshot = Store(repo).snapshot(refnames.plan_ref(plan), batch)
        tasks = [task for page in Pages(repo, plan).read(snapshot).values() for task in page["tasks"]]
    branches = {str(task["branch"]).removeprefix(refnames.HEADS) for task in tasks if task["branch"]}
    branches |= {record.branch for record in ledger.read_ledger(repo, plan) if record.branch}
    for ref in sorted(refnames.HEADS + branch for branch in branches):
        if ref not in local_refs or _plan_of_ref(ref):
            continue
        remote_oid = remote_refs.get(ref)
        if remote_oid != local_refs[ref] and history.is_fast_forward(repo.git, local_refs[ref], remote_oid):
            yield ref


def _plan_of_ref(ref: str) -> str | None:
    """Return the plan of a plan branch; None for other branches."""
    name = ref.removeprefix(refnames.HEADS + refnames.PLAN)
    return name if name != ref and "/" not in name and is_plan_name(name) else None
