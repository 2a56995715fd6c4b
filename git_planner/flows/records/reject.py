"""`git record reject`: dispute a record by hand, and bring the best back to the last one that holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner import redact
from git_planner.errors import PlannerError
from git_planner.flows.records.ledger import LedgerReader
from git_planner.flows.records.query import look_up_record
from git_planner.flows.records.settle_disputes import (
    DisputedRow,
    best_tag,
    dispute_files,
    tag_steps,
    way_back,
)
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Step, Store, Write
from git_planner.rules import refnames
from git_planner.rules.records.dispute import VERDICT, Dispute
from git_planner.rules.records.record import Record

MAX_WHY = 2_000


@dataclass(frozen=True, slots=True)
class RejectResult:
    """A rejected record. `best` is where the rolling best went back to, `tag` the tag that was removed."""

    record: Record
    best: str | None
    tag: str | None
    known: bool

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/rejected@1",
            "record": self.record.document(),
            "best": self.best,
            "tag": self.tag,
            "known": self.known,
        }


def reject_record(repo: Repository, plans: Sequence[str], name: str, why: str) -> RejectResult:
    """Dispute a record with a committed note.

    Args:
        repo: the repository.
        plans: the plans to search, in order of preference.
        name: the record's id, a prefix of it, or a revision of its commit.
        why: the reason.

    Raises:
        PlannerError: E_NO_RECORD; E_USAGE without a reason; what Store.transact raises.
    """
    text = " ".join(why.split())[:MAX_WHY]
    if not text:
        raise PlannerError("E_USAGE", "a rejection needs a reason", hint="give it with '--why'")
    record = look_up_record(repo, plans, name)
    if record.verdict == VERDICT:
        return RejectResult(record, None, None, True)
    note = Dispute(record.id, redact.mask_document({"why": text})["why"], repo.ident(), None, repo.now())
    reader, ledger, best = LedgerReader(repo), refnames.plan_ref(record.plan), refnames.best_ref(record.plan)
    row = next(row for row in reader.read(record.plan) if row.id == record.id)
    tag = best_tag(row)
    moved: str | None = None
    removed: str | None = None

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        nonlocal moved, removed
        disputed = [DisputedRow(row, note)]
        here = reader.measured_here(reader.read_at(seen[ledger]), None)
        rest = [other for other in here if other.id != row.id and other.instrument == row.instrument]
        back = way_back(repo, record.plan, seen[best].tip, disputed, rest, base=record.base)
        moved = back.step.oid if back.step else None
        tags = tag_steps(repo, disputed, seen, None)
        removed = tags[0].ref if tags else None
        message = Message(
            f"record rejected: {note.why}"[:120], (("Planner-Op", "reject"), ("Planner-Args", record.id))
        )
        moves = [back.step] if back.step else []
        return [Write(ledger, dispute_files(disputed), message), *moves, *tags]

    Store(repo).transact([ledger, best, refnames.best_copy(record.plan), *([tag] if tag else [])], decide)
    return RejectResult(look_up_record(repo, [record.plan], record.id), moved, removed, False)
