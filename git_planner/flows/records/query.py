"""Looking records up and comparing them: `git record log`, `best`, `show` and `compare`. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from git_planner.errors import PlannerError
from git_planner.flows.records.ledger import LedgerReader, find_record, read_ledger
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Store
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.records.record import Record, pick_best
from git_planner.rules.records.row import InstrumentChange, RecordRow, find_named, instrument_changes

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class RecordComparison:
    """Two records side by side. `difference` is the second's value minus the first's; None when unlike.

    `unlike` says why they cannot be compared; None when they can.
    """

    first: Record
    second: Record
    unlike: str | None
    difference: float | None

    def document(self) -> dict[str, Any]:
        """The comparison as a JSON document."""
        return {
            "schema": "git-planner/comparison@1",
            "first": self.first.document(),
            "second": self.second.document(),
            "comparable": self.unlike is None,
            "unlike": self.unlike,
            "difference": self.difference,
        }


def read_rows(repo: Repository, plans: Sequence[str], last: int | None = None) -> list[RecordRow]:
    """The short records of some plans, oldest first.

    Args:
        repo: the repository.
        plans: their names.
        last: only so many, the newest ones.
    """
    found = LedgerReader(repo).of(*plans)
    return found if last is None else found[max(0, len(found) - last) :]


def read_records(repo: Repository, plans: Sequence[str], last: int | None = None) -> list[Record]:
    """The whole records of some plans, oldest first; parameters as for `rows`."""
    found = sorted(
        (record for plan in plans for record in read_ledger(repo, plan)), key=lambda record: record.id
    )
    return found if last is None else found[max(0, len(found) - last) :]


@dataclass(frozen=True, slots=True)
class RecordTexts:
    """Records as the JSON texts they are kept as, oldest first, and where the instrument changed."""

    texts: Sequence[bytes]
    turns: Sequence[InstrumentChange]


def read_texts(repo: Repository, plans: Sequence[str], last: int | None = None) -> RecordTexts:
    """The records of some plans as they are kept; order and parameters as for `rows`.

    Raises:
        PlannerError: E_JSON when one of them is no JSON.
    """
    kept = Store(repo).read_all([refnames.plan_ref(plan) for plan in plans], refnames.RECORDS)
    found = sorted((name, text) for folder in kept.values() for name, text in folder.items())
    if last is not None:
        found = found[max(0, len(found) - last) :]
    documents = (canonical_json.loads_trusted(text, many=True) for _, text in found)
    seen = ((document["id"], document["plan"], document["instrument"]) for document in documents)
    return RecordTexts([text.strip() for _, text in found], instrument_changes(seen))


def current_instrument(repo: Repository) -> str | None:
    """The instrument of the base branch as it stands; None where there is no base branch or no policy.

    Raises:
        PlannerError: E_POLICY.
    """
    from git_planner.flows.guard.compare_trees import GuardChecker
    from git_planner.flows.measuring.instrument_digest import instrument_digest_at

    try:
        tip = GuardChecker(repo).base_tips()[0]
        return instrument_digest_at(repo, tip)
    except PlannerError as error:
        if error.code not in ("E_NO_BASE", "E_NO_POLICY"):
            raise
        return None


def best_record(repo: Repository, plan: str) -> Record:
    """The best record of a plan, among those of the instrument that measured last.

    Raises:
        PlannerError: E_NO_RECORD when nothing valid was measured yet.
    """
    found = LedgerReader(repo).of(plan)
    newest = next((row for row in reversed(found) if row.valid), None)
    top = pick_best(row for row in found if newest and row.instrument == newest.instrument)
    if top is None:
        raise PlannerError(
            "E_NO_RECORD", f"plan '{plan}' has no valid record yet", hint="measure a commit with 'git record'"
        )
    return find_record(repo, plan, top.id)


def look_up_record(repo: Repository, plans: Sequence[str], name: str) -> Record:
    """One record by its id, the beginning of it or of its random part, or by any name of its commit.

    Args:
        repo: the repository.
        plans: the plans to look through, the more likely ones first.
        name: what a person wrote.

    Raises:
        PlannerError: E_NO_RECORD when there is none, or more than one.
    """
    found = LedgerReader(repo).of(*plans)
    hits = find_named(found, name) if len(name) >= 4 else []
    if not hits:
        commit = repo.maybe(name)
        # The newest word on a commit is the last one, in the first plan that has one.
        hits = [row for row in found if commit is not None and row.commit == commit]
        hits = sorted(hits, key=lambda row: (-plans.index(row.plan), row.id))[-1:]
    if len(hits) == 1:
        return find_record(repo, hits[0].plan, hits[0].id)
    if hits:
        raise PlannerError(
            "E_NO_RECORD",
            f"'{name}' could be any of {len(hits)} records",
            hint="give more of its id; 'git record log' lists them",
            details=[row.id for row in hits[:_SHOWN]],
        )
    raise PlannerError(
        "E_NO_RECORD",
        f"there is no record '{name}', nor one of a commit of that name",
        hint="list records with 'git record log --all'",
    )


def compare_records(first: Record, second: Record) -> RecordComparison:
    """Put two records side by side; values are compared only where one instrument measured both."""
    unlike = _unlike(first, second)
    if unlike is not None:
        return RecordComparison(first, second, unlike, None)
    assert first.value is not None
    assert second.value is not None
    return RecordComparison(first, second, None, second.value - first.value)


def _unlike(first: Record, second: Record) -> str | None:
    for record in (first, second):
        if not record.valid or record.value is None:
            return f"'{record.id}' has no valid measurement ({record.reason or 'no metric'})"
    if first.instrument is None or second.instrument is None:
        return "an imported record does not say which instrument measured it"
    if first.instrument != second.instrument:
        return "they were measured by different instruments"
    tests = (first.instrument_tests, second.instrument_tests)
    if None not in tests and tests[0] != tests[1]:
        return "their baselines collected different tests, or had other outcomes"
    return None
