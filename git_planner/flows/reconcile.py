"""Making two clones of a plan agree: ledgers are united file by file, the better of two bests stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_planner.agents.contract import Tell
from git_planner.errors import PlannerError
from git_planner.flows.ledger import ledger
from git_planner.flows.uniting import united
from git_planner.gitio import history, remote
from git_planner.gitio.objects import commit_tree
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store
from git_planner.rules import names
from git_planner.rules.record import Record, better

SEEN = names.OURS + "remote/"


def fetch(repo: Repository, where: str, refs: Sequence[str], tell: Tell) -> dict[str, str]:
    """Fetch branches of a remote under refs of ours, where nothing else looks.

    Args:
        where: the remote's name.
        refs: full names of branches that exist there.

    Returns:
        ref -> commit.
    """
    copies = {ref: f"{SEEN}{where}/{ref.removeprefix(names.HEADS)}" for ref in refs}
    remote.fetch(repo, where, [f"+{ref}:{copy}" for ref, copy in copies.items()], tell)
    return {ref: repo.resolve(copy) for ref, copy in copies.items()}


def with_remote(
    repo: Repository, where: str, plan: str, there: Mapping[str, str], tell: Tell, *, dry_run: bool
) -> list[str]:
    """Take in what a remote has of a plan, so that ours can be pushed on top of it.

    Args:
        there: what the remote's refs name now.
        dry_run: change nothing here, only say what would have to be done.

    Returns:
        What a person should know, one sentence each.

    Raises:
        PlannerError: E_CONFLICT when no record says which of two bests is better; E_MERGE; E_REMOTE.
    """
    ledger_ref, best_ref = names.plan_ref(plan), names.best_ref(plan)
    news = [ref for ref in (ledger_ref, best_ref) if ref in there and repo.maybe(ref) != there[ref]]
    if not news:
        return []
    if dry_run:
        return [
            f"'{ref.removeprefix(names.HEADS)}' differs on '{where}' and would be reconciled" for ref in news
        ]
    theirs = fetch(repo, where, news, tell)
    notes: list[str] = []
    if ledger_ref in theirs:
        notes += _unite(repo, plan, theirs[ledger_ref], where)
    if best_ref in theirs:
        notes += _settle(repo, plan, theirs[best_ref], where)
    return notes


def _unite(repo: Repository, plan: str, theirs: str, where: str) -> list[str]:
    ref = names.plan_ref(plan)
    notes: list[str] = []

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        notes.clear()
        ours = seen[ref].tip
        if ours is None or history.is_ancestor(repo.git, ours, theirs):
            return [Move(ref, theirs)]
        if history.is_ancestor(repo.git, theirs, ours):
            return []
        done = united(repo, plan, ours, theirs)
        notes.append(f"the ledgers of '{ref.removeprefix(names.HEADS)}' were united")
        notes.extend(done.told)
        message = Message(f"unite with {where}", (("Planner-Op", "unite"), ("Planner-Args", theirs)))
        return [Move(ref, commit_tree(repo.git, done.tree, (ours, theirs), message.text()))]

    Store(repo).transact([ref], decide)
    return notes


def _settle(repo: Repository, plan: str, theirs: str, where: str) -> list[str]:
    ref = names.best_ref(plan)
    branch = ref.removeprefix(names.HEADS)
    records = {each.commit: each for each in ledger(repo, plan) if each.valid}
    notes: list[str] = []

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        notes.clear()
        ours = seen[ref].tip
        if ours is None or history.is_ancestor(repo.git, ours, theirs):
            if ours is not None:
                notes.append(f"'{branch}' followed '{where}'")
            return [Move(ref, theirs)]
        if history.is_ancestor(repo.git, theirs, ours):
            return []
        if _ours_is_better(records.get(ours), records.get(theirs), branch, where):
            notes.append(f"our '{branch}' is better; that of '{where}' stays reachable by its tag")
            return []
        notes.append(f"'{branch}' of '{where}' is better; ours stays reachable by its tag")
        return [Move(ref, theirs)]

    Store(repo).transact([ref], decide)
    return notes


def _ours_is_better(ours: Record | None, theirs: Record | None, branch: str, where: str) -> bool:
    comparable = (
        ours is not None
        and theirs is not None
        and ours.value is not None
        and theirs.value is not None
        and ours.instrument == theirs.instrument
    )
    if not comparable:
        raise PlannerError(
            "E_CONFLICT",
            f"'{branch}' here and on '{where}' have gone different ways, and no records compare them",
            hint=f"look at both with 'git log {branch} {SEEN}{where}/{branch}'",
        )
    assert ours is not None
    assert theirs is not None
    return better(ours.value or 0.0, theirs.value or 0.0, ours.metrics[0].better)
