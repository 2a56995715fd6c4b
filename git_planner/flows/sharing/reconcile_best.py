"""Making two clones of a plan agree: ledgers are united file by file, the better of two bests stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from git_planner.agents.contract import Tell
from git_planner.errors import PlannerError
from git_planner.flows.records.ledger import read_ledger
from git_planner.flows.sharing.merge_tips import united
from git_planner.gitio import history, remote
from git_planner.gitio.objects import commit_tree
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store
from git_planner.rules import refnames
from git_planner.rules.records.record import Record, is_better

SEEN = refnames.OURS + "remote/"


def fetch(repo: Repository, where: str, refs: Sequence[str], tell: Tell) -> dict[str, str]:
    """Fetch branches of a remote under refs of ours, where nothing else looks.

    Args:
        where: the remote's name.
        refs: full names of branches that exist there.

    Returns:
        ref -> commit.
    """
    copies = {ref: f"{SEEN}{where}/{ref.removeprefix(refnames.HEADS)}" for ref in refs}
    remote.fetch(repo, where, [f"+{ref}:{copy}" for ref, copy in copies.items()], tell)
    return {ref: repo.resolve(copy) for ref, copy in copies.items()}


def with_remote(
    repo: Repository, where: str, plan: str, there: Mapping[str, str], tell: Tell, *, dry_run: bool
) -> tuple[dict[str, str], list[str]]:
    """Take in what a remote has of a plan, so that ours can be pushed on top of it.

    Args:
        repo: the repository.
        where: the remote's name.
        plan: the plan's name.
        there: what the remote's refs name now.
        tell: progress.
        dry_run: move nothing here, only find out what would be moved.

    Returns:
        Ref -> commit that ours is at now, or with `dry_run` would be at, for what differed; and what a person
        should know, one sentence each.

    Raises:
        PlannerError: E_CONFLICT when no record says which of two bests is better; E_MERGE; E_REMOTE.
    """
    ledger_ref, best_ref = refnames.plan_ref(plan), refnames.best_ref(plan)
    news = [ref for ref in (ledger_ref, best_ref) if ref in there and repo.maybe(ref) != there[ref]]
    if not news:
        return {}, []
    if dry_run:
        remote.fetch_commits(repo, where, news, tell)
        theirs = {ref: there[ref] for ref in news}
    else:
        theirs = fetch(repo, where, news, tell)
    tips: dict[str, str] = {}
    notes: list[str] = []

    def take(ref: str, rule: Callable[[str | None], _Taken]) -> None:
        taken = rule(repo.maybe(ref)) if dry_run else _moved(repo, ref, rule)
        tips[ref] = taken.tip
        notes.extend(taken.notes)

    if ledger_ref in theirs:
        take(ledger_ref, partial(_united, repo, plan, theirs[ledger_ref], where))
    if best_ref in theirs:
        records = {each.commit: each for each in read_ledger(repo, plan, tips.get(ledger_ref)) if each.valid}
        take(best_ref, partial(_settled, repo, best_ref, theirs[best_ref], where, records=records))
    return tips, notes


class _Taken(NamedTuple):
    tip: str
    notes: tuple[str, ...] = ()


def _moved(repo: Repository, ref: str, rule: Callable[[str | None], _Taken]) -> _Taken:
    taken: list[_Taken] = []

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        taken[:] = [rule(seen[ref].tip)]
        return [Move(ref, taken[0].tip)]

    Store(repo).transact([ref], decide)
    return taken[0]


def _united(repo: Repository, plan: str, theirs: str, where: str, ours: str | None) -> _Taken:
    if ours is None or history.is_ancestor(repo.git, ours, theirs):
        return _Taken(theirs)
    if history.is_ancestor(repo.git, theirs, ours):
        return _Taken(ours)
    done = united(repo, plan, ours, theirs)
    message = Message(f"unite with {where}", (("Planner-Op", "unite"), ("Planner-Args", theirs)))
    tip = commit_tree(repo.git, done.tree, (ours, theirs), message.text())
    return _Taken(tip, (f"the ledgers of '{refnames.PLAN}{plan}' are united", *done.told))


def _settled(
    repo: Repository, ref: str, theirs: str, where: str, ours: str | None, *, records: Mapping[str, Record]
) -> _Taken:
    branch = ref.removeprefix(refnames.HEADS)
    if ours is None:
        return _Taken(theirs)
    if history.is_ancestor(repo.git, ours, theirs):
        return _Taken(theirs, (f"'{branch}' follows '{where}'",))
    if history.is_ancestor(repo.git, theirs, ours):
        return _Taken(ours)
    if _ours_is_better(ours, theirs, records, branch, where):
        return _Taken(ours, (f"our '{branch}' is better; that of '{where}' stays reachable by its tag",))
    return _Taken(theirs, (f"'{branch}' of '{where}' is better; ours stays reachable by its tag",))


def _ours_is_better(ours: str, theirs: str, records: Mapping[str, Record], branch: str, where: str) -> bool:
    one, other = records.get(ours), records.get(theirs)
    if (
        one is None
        or other is None
        or one.value is None
        or other.value is None
        or one.instrument != other.instrument
    ):
        raise PlannerError(
            "E_CONFLICT",
            f"'{branch}' here and on '{where}' have gone different ways, and no records compare them",
            hint=f"look at both with 'git log {branch} {theirs[:12]}'",
        )
    return is_better(one.value, other.value, one.metrics[0].better)
