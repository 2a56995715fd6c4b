"""Reconcile two clones of a plan: merge their ledgers, keep the better of two bests.

A best of the remote is followed only if it was measured here, or is a commit of the base branch; and never if
its guarded files are not the base branch's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from git_planner.errors import PlannerError
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.plans.best_place import move_best
from git_planner.flows.records.ledger import LedgerReader, read_ledger
from git_planner.flows.sharing.check_remote import check_plan
from git_planner.flows.sharing.merge_tips import merge_tips
from git_planner.gitio import history, remote
from git_planner.gitio.objects import commit_tree
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.printable import printable_path
from git_planner.rules.records.dispute import VERDICT
from git_planner.rules.records.ranking import is_better
from git_planner.rules.records.record import Record

# Verdicts, measured here, of a remote's best that may be followed.
_FOLLOWED = ("improved", "within_noise", "baseline")
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
) -> MergedRemote:
    """Merge the remote state of a plan, so that the local one can be pushed.

    Args:
        repo: the repository.
        remote_name: the remote's name.
        plan: the plan's name.
        remote_refs: the refs of the remote.
        progress: called with each progress message.
        dry_run: move no ref, only report the moves.

    Returns:
        What was merged.

    Raises:
        PlannerError: E_CONFLICT when no records compare two measured bests; E_MERGE; E_REMOTE.
    """
    ledger_ref, best_ref = refnames.plan_ref(plan), refnames.best_ref(plan)
    changed_refs = [
        ref for ref in (ledger_ref, best_ref) if ref in remote_refs and repo.maybe(ref) != remote_refs[ref]
    ]
    if not changed_refs:
        return MergedRemote({}, [], False)
    if dry_run:
        remote.fetch_commits(repo, remote_name, changed_refs, progress)
        fetched = {ref: remote_refs[ref] for ref in changed_refs}
    else:
        fetched = fetch_branches(repo, remote_name, changed_refs, progress)
    tips: dict[str, str] = {}
    notes: list[str] = []

    def reconcile(ref: str, rule: Callable[[str | None], _Reconciled]) -> None:
        reconciled = rule(repo.maybe(ref)) if dry_run else _move_ref(repo, plan, ref, rule)
        if reconciled.tip is not None:
            tips[ref] = reconciled.tip
        notes.extend(reconciled.notes)

    if ledger_ref in fetched:
        notes.extend(check_plan(repo, remote_name, plan, fetched[ledger_ref]))
        reconcile(ledger_ref, partial(_merge_ledger, repo, plan, fetched[ledger_ref], remote_name))
    if best_ref not in fetched:
        return MergedRemote(tips, notes, False)
    ledger = read_ledger(repo, plan, tips.get(ledger_ref))
    records = {record.commit: record for record in ledger if record.valid}
    theirs = fetched[best_ref]
    leaves_best, note = _judge_best(repo, plan, theirs, remote_name, records)
    if is_disputed(theirs, ledger):
        leaves_best, note = False, _not_followed(best_ref, remote_name, "is at a disputed record")
    if note is None:
        reconcile(best_ref, partial(_choose_best, repo, best_ref, theirs, remote_name, records=records))
    return MergedRemote(tips, [*notes, *([note] if note else [])], leaves_best)


def _judge_best(
    repo: Repository, plan: str, theirs: str, remote_name: str, records: Mapping[str, Record]
) -> tuple[bool, str | None]:
    """Return whether a best of the remote is left as it is there, and why it is not followed."""
    best_ref = refnames.best_ref(plan)
    ours = repo.maybe(best_ref)
    if ours is not None and history.is_ancestor(repo.git, theirs, ours):
        return False, None
    objection = find_objection(repo, plan, theirs)
    if objection is None:
        return False, None
    if ours is not None and _is_claimed_worse(repo, ours, theirs, records):
        return False, _ours_is_better(refnames.short_name(best_ref), remote_name)
    return True, _not_followed(best_ref, remote_name, objection.why)


def _not_followed(best_ref: str, remote_name: str, why: str) -> str:
    return f"'{refnames.short_name(best_ref)}' of '{remote_name}' {why} and is not followed"


class MergedRemote(NamedTuple):
    """Result of merging a plan with a remote's.

    `tips`: changed ref -> commit that the local ref is at now, or in a dry run would be at. `notes` are for
    people, one sentence each. `leaves_best`: the remote's best is not followed, and not to be overwritten.
    """

    tips: dict[str, str]
    notes: list[str]
    leaves_best: bool


def is_disputed(commit: str, ledger: Sequence[Record]) -> bool:
    """Return whether a commit has disputed records and none that holds."""
    own = [record for record in ledger if record.commit == commit]
    return any(record.verdict == VERDICT for record in own) and not any(record.valid for record in own)


class Objection(NamedTuple):
    """Reason why a best that a remote sent is not followed. `is_unmeasured`: measuring it may remove it."""

    why: str
    is_unmeasured: bool = False


def find_objection(repo: Repository, plan: str, commit: str) -> Objection | None:
    """Return why a best that a remote sent must not be followed yet; None if nothing is wrong with it."""
    checker = GuardChecker(repo)
    try:
        if any(history.is_ancestor(repo.git, commit, tip) for tip in checker.base_tips()):
            return None
        anchor, differences = checker.find_anchor(commit)
    except PlannerError as error:
        # Without a base branch nothing says what is guarded.
        if error.code != "E_NO_BASE":
            return Objection(f"cannot be checked ({error.message})")
        anchor, differences = commit, []
    if anchor is None:
        names = ", ".join(f"'{printable_path(difference.path)}'" for difference in differences[:3])
        return Objection(f"has other guarded files than the base branch ({names or 'no common commit'})")
    verdict = measured_verdict(repo, plan, commit)
    if verdict is None:
        return Objection("was not measured here ('git iterate best ensure' measures it)", True)
    return None if verdict in _FOLLOWED else Objection(f"is {verdict.replace('_', ' ')}, measured here,")


def measured_verdict(repo: Repository, plan: str, commit: str) -> str | None:
    """Return the verdict of a commit's newest record that was measured here; None without one."""
    reader = LedgerReader(repo)
    own = [row for row in reader.measured_here(reader.read(plan), None) if row.commit == commit]
    return own[-1].verdict if own else None


def _is_claimed_worse(repo: Repository, ours: str, theirs: str, records: Mapping[str, Record]) -> bool:
    """Return whether the ledger itself calls a best of the remote worse than ours, which diverged from it."""
    pair = _comparable(records.get(ours), records.get(theirs))
    return pair is not None and not history.is_ancestor(repo.git, ours, theirs) and _is_first_better(*pair)


def _comparable(first: Record | None, second: Record | None) -> tuple[Record, Record] | None:
    """Return two records if they have values of one instrument."""
    if first is None or second is None or first.value is None or second.value is None:
        return None
    return (first, second) if first.instrument == second.instrument else None


def _is_first_better(first: Record, second: Record) -> bool:
    assert first.value is not None
    assert second.value is not None
    return is_better(first.value, second.value, first.metrics[0].better)


def _ours_is_better(branch: str, remote_name: str) -> str:
    return f"the local '{branch}' is better; that of '{remote_name}' stays reachable by its tag"


class _Reconciled(NamedTuple):
    tip: str | None
    notes: tuple[str, ...] = ()


def _move_ref(
    repo: Repository, plan: str, ref: str, rule: Callable[[str | None], _Reconciled]
) -> _Reconciled:
    decided: list[_Reconciled] = []

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        decided[:] = [rule(snapshots[ref].tip)]
        tip = decided[0].tip
        assert tip is not None
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
        return _Reconciled(ours, (_ours_is_better(branch, remote_name),))
    return _Reconciled(
        theirs, (f"'{branch}' of '{remote_name}' is better; the local one stays reachable by its tag",)
    )


def _is_ours_better(
    ours: str, theirs: str, records: Mapping[str, Record], branch: str, remote_name: str
) -> bool:
    pair = _comparable(records.get(ours), records.get(theirs))
    if pair is None:
        raise PlannerError(
            "E_CONFLICT",
            f"'{branch}' and '{branch}' of '{remote_name}' have diverged, and no records compare them",
            hint=f"look at both with 'git log {branch} {theirs[:12]}'",
        )
    return _is_first_better(*pair)
