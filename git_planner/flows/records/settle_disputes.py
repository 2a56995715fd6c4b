"""Dispute records: the notes in the ledger, and the way back of the rolling best and its tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from git_planner.flows.plans.best_place import MovedBest, find_moved_best, move_best
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Delete, Move, Snapshot
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.records.dispute import Dispute
from git_planner.rules.records.ranking import pick_best
from git_planner.rules.records.row import RecordRow


@dataclass(frozen=True, slots=True)
class DisputedRow:
    """A record of the ledger with its dispute."""

    row: RecordRow
    dispute: Dispute

    @property
    def sentence(self) -> str:
        """Return what is to be told."""
        return f"'{self.row.id}' is disputed: {self.dispute.why}"


def dispute_files(disputed: Iterable[DisputedRow]) -> dict[str, bytes]:
    """Return the files of disputes on the plan's branch: path -> content."""
    return {entry.dispute.path: canonical_json.dumps(entry.dispute.document()) for entry in disputed}


def best_tag(row: RecordRow) -> str | None:
    """Return the full ref of the tag that a record has if it became the best; None outside iterations."""
    if row.value is None or row.iteration is None or row.slug is None:
        return None
    return refnames.best_tag(row.value, refnames.IterationName(row.iteration, row.slug))


def tag_steps(
    repo: Repository, disputed: Sequence[DisputedRow], seen: Mapping[str, Snapshot], keep: str | None
) -> list[Delete]:
    """Return steps that remove the tags of disputed bests.

    Args:
        repo: the repository.
        disputed: the records.
        seen: the snapshots of the transaction; tags that are not in it stay.
        keep: a tag that stays.
    """
    tags = {best_tag(entry.row): entry.row.commit for entry in disputed}
    return [
        Delete(tag)
        for tag, commit in tags.items()
        if tag is not None and tag != keep and tag in seen and seen[tag].tip and repo.maybe(tag) == commit
    ]


class WayBack(NamedTuple):
    """Place of the rolling best after disputes, and the step that brings it there, if one is needed.

    `moved`: another program moved it, and what it was moved to is not disputed, so it stays there.
    """

    holds: str | None
    step: Move | None
    moved: MovedBest | None


def way_back(
    repo: Repository,
    plan: str,
    tip: str | None,
    disputed: Sequence[DisputedRow],
    rows: Sequence[RecordRow],
    *,
    base: str,
) -> WayBack:
    """Return the way back of a plan's best after disputes; parameters as for `tip_that_holds`."""
    moved = find_moved_best(repo, plan)
    if moved is not None and tip_that_holds(repo, tip, disputed, rows, base) == tip:
        holds = tip_that_holds(repo, moved.left, disputed, rows, base)
        # What it can be brought back to is corrected.
        step = Move(refnames.best_copy(plan), holds) if holds and holds != moved.left else None
        return WayBack(holds, step, moved)
    holds = tip_that_holds(repo, moved.left if moved else tip, disputed, rows, base)
    return WayBack(holds, move_best(plan, holds) if holds and holds != tip else None, None)


def tip_that_holds(
    repo: Repository,
    tip: str | None,
    disputed: Sequence[DisputedRow],
    rows: Sequence[RecordRow],
    base: str,
) -> str | None:
    """Return where the rolling best belongs after disputes: where it is, or at the last best that holds.

    Args:
        repo: the repository.
        tip: where it is.
        disputed: the disputed records.
        rows: the records that hold, measured here by the instrument of the disputed ones, oldest first.
        base: where it goes without any.
    """
    commits = {entry.row.commit for entry in disputed}
    if tip is None or not any(
        repo.maybe(commit) and history.is_ancestor(repo.git, commit, tip) for commit in commits
    ):
        return tip
    top = pick_best(rows)
    return top.commit if top is not None and repo.maybe(top.commit) else base
