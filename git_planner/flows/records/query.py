"""Query records for `git record log`, `best`, `show` and `compare`. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from git_planner.errors import PlannerError
from git_planner.flows.records.ledger import (
    LedgerReader,
    find_record,
    read_disputes,
    read_ledger,
    read_record,
)
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Store
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.records.dispute import with_dispute
from git_planner.rules.records.ranking import pick_best
from git_planner.rules.records.row import InstrumentChange, RecordRow, find_named, instrument_changes

if TYPE_CHECKING:
    from git_planner.rules.records.record import Record

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class RecordComparison:
    """Two records side by side. `difference` is the second's value minus the first's, if comparable.

    `unlike` is why they cannot be compared; None if they can.
    """

    first: Record
    second: Record
    unlike: str | None
    difference: float | None

    def document(self) -> dict[str, Any]:
        """Return the comparison as a JSON document."""
        return {
            "schema": "git-planner/comparison@1",
            "first": self.first.document(),
            "second": self.second.document(),
            "comparable": self.unlike is None,
            "unlike": self.unlike,
            "difference": self.difference,
        }


def read_rows(repo: Repository, plans: Sequence[str], last: int | None = None) -> list[RecordRow]:
    """Return the rows of some plans, oldest first.

    Args:
        repo: the repository.
        plans: their names.
        last: only this many, the newest.
    """
    records = LedgerReader(repo).read(*plans)
    return records if last is None else records[max(0, len(records) - last) :]


def read_records(repo: Repository, plans: Sequence[str], last: int | None = None) -> list[Record]:
    """Return the complete records of some plans, oldest first; parameters as for `read_rows`."""
    records = sorted(
        (record for plan in plans for record in read_ledger(repo, plan)), key=lambda record: record.id
    )
    return records if last is None else records[max(0, len(records) - last) :]


@dataclass(frozen=True, slots=True)
class RecordTexts:
    """Records as stored JSON texts, oldest first, and where the instrument changed."""

    texts: Sequence[bytes]
    turns: Sequence[InstrumentChange]


def read_texts(repo: Repository, plans: Sequence[str], last: int | None = None) -> RecordTexts:
    """Return the stored texts of some plans' records; order and parameters as for `read_rows`.

    Files that are no records are left out.
    """
    folders = Store(repo).read_all([refnames.plan_ref(plan) for plan in plans], refnames.RECORDS)
    known = {f"{row.id}.json" for row in LedgerReader(repo).read(*plans)}
    texts = sorted(
        (name, text) for folder in folders.values() for name, text in folder.items() if name in known
    )
    if last is not None:
        texts = texts[max(0, len(texts) - last) :]
    reasons = {name: why for ref in folders for name, why in read_disputes(repo, ref).items()}
    texts = [(name, _shown_text(name, text, reasons)) for name, text in texts]
    documents = (canonical_json.loads_trusted(text, many=True) for _, text in texts)
    keys = ((document["id"], document["plan"], document["instrument"]) for document in documents)
    return RecordTexts([text.strip() for _, text in texts], instrument_changes(keys))


def _shown_text(name: str, text: bytes, reasons: Mapping[str, str]) -> bytes:
    """Return a record's stored text; a disputed record's as it is shown."""
    why = reasons.get(name.removesuffix(".json"))
    if why is None:
        return text
    return canonical_json.dumps(with_dispute(read_record(text, name), why).document())


def current_instrument(repo: Repository) -> str | None:
    """Return the instrument of the base branch; None without a base branch or policy.

    Raises:
        PlannerError: E_POLICY.
    """
    from git_planner.config.policy_file import policy_or_none
    from git_planner.flows.guard.base_branch import find_base_branch
    from git_planner.flows.measuring.instrument_digest import instrument_digest_at

    base = find_base_branch(repo, lambda commit: policy_or_none(repo, commit))
    if base is None or policy_or_none(repo, base[1][0]) is None:
        return None
    return instrument_digest_at(repo, base[1][0])


@dataclass(frozen=True, slots=True)
class BestRecord:
    """The best record of a plan. `measured_here`: it, or another one of its tree and instrument, was."""

    record: Record
    measured_here: bool


def without_records(repo: Repository, plan: str) -> str:
    """Return what to tell about a plan that has no records here, with the next step."""
    from git_planner.flows.plans.page_store import pull_hint_if_missing

    pull = pull_hint_if_missing(repo, plan)
    if pull is not None:
        return f"plan '{plan}' is on a remote, and not here; '{pull}' fetches it"
    return f"plan '{plan}' has no records yet; 'git record' adds one"


def best_record(repo: Repository, plan: str) -> BestRecord:
    """Return the best record of a plan under the instrument of the newest valid record.

    Raises:
        PlannerError: E_NO_RECORD without a valid record.
    """
    reader = LedgerReader(repo)
    records = reader.read(plan)
    newest = next((row for row in reversed(records) if row.valid), None)
    top = pick_best(row for row in records if newest and row.instrument == newest.instrument)
    if top is None:
        from git_planner.flows.plans.page_store import missing_plan, pull_hint_if_missing

        if pull_hint_if_missing(repo, plan) is not None:
            raise missing_plan(plan, repo)
        what, hint = "no valid record", "measure a commit with 'git record'"
        if newest is not None:
            what, hint = "no record with a value", f"add a metric to '{refnames.POLICY_FILE}'"
        raise PlannerError("E_NO_RECORD", f"plan '{plan}' has {what} yet", hint=hint)
    alike = [row for row in records if row.tree == top.tree and row.instrument == top.instrument]
    return BestRecord(find_record(repo, plan, top.id), bool(reader.measured_here(alike, None)))


def look_up_record(repo: Repository, plans: Sequence[str], name: str) -> Record:
    """Return one record by its id, a prefix of it or of its random part, or a revision of its commit.

    Args:
        repo: the repository.
        plans: the plans to search, in order of preference.
        name: the id, prefix or revision.

    Raises:
        PlannerError: E_NO_RECORD when there is none, or more than one.
    """
    records = LedgerReader(repo).read(*plans)
    matches = find_named(records, name) if len(name) >= 4 else []
    if not matches:
        commit = repo.maybe(name)
        # The newest record of the commit, in the first plan that has one.
        matches = [row for row in records if commit is not None and row.commit == commit]
        order = {plan: -place for place, plan in enumerate(plans)}
        matches = sorted(matches, key=lambda row: (order.get(row.plan, -len(plans)), row.id))[-1:]
    if len(matches) == 1:
        return find_record(repo, matches[0].plan, matches[0].id)
    if matches:
        raise PlannerError(
            "E_NO_RECORD",
            f"'{name}' could be any of {len(matches)} records",
            hint="give more of its id; 'git record log' lists them",
            details=[row.id for row in matches[:_SHOWN]],
        )
    raise PlannerError(
        "E_NO_RECORD",
        f"there is no record '{name}', nor one of a commit of that name",
        hint="list records with 'git record log --all'",
    )


def compare_records(first: Record, second: Record) -> RecordComparison:
    """Compare two records; values only if the same instrument measured both."""
    unlike = _incomparable_cause(first, second)
    if unlike is not None:
        return RecordComparison(first, second, unlike, None)
    assert first.value is not None
    assert second.value is not None
    return RecordComparison(first, second, None, second.value - first.value)


def _incomparable_cause(first: Record, second: Record) -> str | None:
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
