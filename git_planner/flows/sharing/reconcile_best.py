"""Reconcile two clones of a plan: merge their ledgers, keep the better of two bests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from git_planner.errors import PlannerError
from git_planner.flows.plans.best_place import move_best
from git_planner.flows.records.ledger import read_ledger
from git_planner.flows.sharing.check_remote import check_plan
from git_planner.flows.sharing.merge_tips import merge_tips
from git_planner.gitio import history, remote
from git_planner.gitio.objects import commit_tree
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.records.dispute import VERDICT
from git_planner.rules.records.record import Record, is_better

REMOTE_COPIES = refnames.OURS + "remote/"


def fetch_branches(
    repo: Repository, remote_name: str, refs: Sequence[str], progress: Progress
) -> dict[str, str]:
    """Fetch branches of a remote to private copies under refs/planner/remote/.

    Args:
        where: the remote's name.
        refs: full names of branches of the remote.

    Returns:
        ref -> commit.
    """
    copies = {ref: f"{REMOTE_COPIES}{remote_name}/{refnames.short_name(ref)}" for ref in refs}
    remote.fetch(repo, remote_name, [f"+{ref}:{copy}" for ref, copy in copies.items()], progress)
    return {ref: repo.resolve(copy) for ref, copy in copies.items()}


def merge_remote(
    repo: Repository,
    remote_name: str,
    plan: str,
    remote_refs: Mapping[str, str],
    progress: Progress,
    *,
    dry_run: bool,
) -> tuple[dict[str, str], list[str]]:
    """Merge the remote state of a plan, so that the local one can be pushed.

    Args:
        repo: the repository.
        remote_name: the remote's name.
        plan: the plan's name.
        remote_refs: the refs of the remote.
        progress: called with each progress message.
        dry_run: move no ref, only report the moves.

    Returns:
        Changed ref -> commit that the local ref is at now, or with `dry_run` would be at; and notes for the
        user, one sentence each.

    Raises:
        PlannerError: E_CONFLICT when no records compare two bests; E_MERGE; E_REMOTE.
    """
    ledger_ref, best_ref = refnames.plan_ref(plan), refnames.best_ref(plan)
    changed_refs = [
        ref for ref in (ledger_ref, best_ref) if ref in remote_refs and repo.maybe(ref) != remote_refs[ref]
    ]
    if not changed_refs:
        return {}, []
    if dry_run:
        remote.fetch_commits(repo, remote_name, changed_refs, progress)
        fetched = {ref: remote_refs[ref] for ref in changed_refs}
    else:
        fetched = fetch_branches(repo, remote_name, changed_refs, progress)
    tips: dict[str, str] = {}
    notes: list[str] = []

    def reconcile(ref: str, rule: Callable[[str | None], _Reconciled]) -> None:
        reconciled = rule(repo.maybe(ref)) if dry_run else _move_ref(repo, plan, ref, rule)
        tips[ref] = reconciled.tip
        notes.extend(reconciled.notes)

    if ledger_ref in fetched:
        notes.extend(check_plan(repo, remote_name, plan, fetched[ledger_ref]))
        reconcile(ledger_ref, partial(_merge_ledger, repo, plan, fetched[ledger_ref], remote_name))
    if best_ref in fetched:
        ledger = read_ledger(repo, plan, tips.get(ledger_ref))
        records = {record.commit: record for record in ledger if record.valid}
        if repo.maybe(best_ref) is not None and is_disputed(fetched[best_ref], ledger):
            branch = refnames.short_name(best_ref)
            notes.append(f"'{branch}' of '{remote_name}' is at a disputed record and is not followed")
            return tips, notes
        reconcile(
            best_ref, partial(_choose_best, repo, best_ref, fetched[best_ref], remote_name, records=records)
        )
    return tips, notes


def is_disputed(commit: str, ledger: Sequence[Record]) -> bool:
    """Return whether a commit has disputed records and none that holds."""
    own = [record for record in ledger if record.commit == commit]
    return any(record.verdict == VERDICT for record in own) and not any(record.valid for record in own)


class _Reconciled(NamedTuple):
    tip: str
    notes: tuple[str, ...] = ()


def _move_ref(
    repo: Repository, plan: str, ref: str, rule: Callable[[str | None], _Reconciled]
) -> _Reconciled:
    decided: list[_Reconciled] = []

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        decided[:] = [rule(snapshots[ref].tip)]
        tip = decided[0].tip
        return [move_best(plan, tip) if ref == refnames.best_ref(plan) else Move(ref, tip)]

    Store(repo).transact([ref], decide)
    return decided[0]


def _merge_ledger(
    repo: Repository, plan: str, theirs: str, remote_name: str, ours: str | None
) -> _Reconciled:
    if ours is None or history.is_ancestor(repo.git, ours, theirs):
        return _Reconciled(theirs)
    if history.is_ancestor(repo.git, theirs, ours):
        return _Reconciled(ours)
    merged = merge_tips(repo, plan, ours, theirs)
    message = Message(f"merge with {remote_name}", (("Planner-Op", "unite"), ("Planner-Args", theirs)))
    tip = commit_tree(repo.git, merged.tree, (ours, theirs), message.text())
    return _Reconciled(tip, (f"the ledgers of '{refnames.PLAN}{plan}' were merged", *merged.notes))


def _choose_best(
    repo: Repository,
    ref: str,
    theirs: str,
    remote_name: str,
    ours: str | None,
    *,
    records: Mapping[str, Record],
) -> _Reconciled:
    branch = refnames.short_name(ref)
    if ours is None:
        return _Reconciled(theirs)
    if history.is_ancestor(repo.git, ours, theirs):
        return _Reconciled(theirs, (f"'{branch}' follows '{remote_name}'",))
    if history.is_ancestor(repo.git, theirs, ours):
        return _Reconciled(ours)
    if _is_ours_better(ours, theirs, records, branch, remote_name):
        return _Reconciled(
            ours, (f"the local '{branch}' is better; that of '{remote_name}' stays reachable by its tag",)
        )
    return _Reconciled(
        theirs, (f"'{branch}' of '{remote_name}' is better; the local one stays reachable by its tag",)
    )


def _is_ours_better(
    ours: str, theirs: str, records: Mapping[str, Record], branch: str, remote_name: str
) -> bool:
    our_record, their_record = records.get(ours), records.get(theirs)
    if (
        our_record is None
        or their_record is None
        or our_record.value is None
        or their_record.value is None
        or our_record.instrument != their_record.instrument
    ):
        raise PlannerError(
            "E_CONFLICT",
            f"'{branch}' and '{branch}' of '{remote_name}' have diverged, and no records compare them",
            hint=f"look at both with 'git log {branch} {theirs[:12]}'",
        )
    return is_better(our_record.value, their_record.value, our_record.metrics[0].better)
