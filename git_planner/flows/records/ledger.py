"""Read a plan's ledger: complete records, or the rows that lists and decisions need.

Rows are kept in a derived cache in the common directory, each row under its blob's id. It may be
deleted, truncated or stale at any time: missing rows are read from git. Disputed records are disputed for
everybody, because every reader of the ledger is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.flows.records.journal import read_journal
from git_planner.gitio.git import read_objects
from git_planner.gitio.history import list_refs
from git_planner.gitio.objects import Tree, parse_names, parse_tree
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot, Store
from git_planner.host.clock import utc_now
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.records import dispute
from git_planner.rules.records.row import RecordIds, RecordRow, check_record, find_baseline, row_from

if TYPE_CHECKING:
    from git_planner.rules.measuring.proofs.proof import Proof
    from git_planner.rules.records.record import Record

ParsedRecord = TypeVar("ParsedRecord", "Record", RecordRow)
TESTS_FOLDER = "experiments/tests"
# Rewrite the cache only after this many new records, when reading them again would cost more.
_WORTH = 64
# Up to so many branches are resolved one by one.
_FEW_PLANS = 4
_LEDGER, _RECORDS = refnames.RECORDS.split("/")
_DISPUTES = refnames.DISPUTES.removeprefix(f"{_LEDGER}/")
_NO_ID = "its name is not an id of a time until now"
_FIELDS = list(RecordRow._fields)


def read_ledger(repo: Repository, plan: str, at: str | None = None) -> list[Record]:
    """Return all records of a plan, oldest first; an empty list if there is no such plan.

    Files that are no records are left out; see `damaged_records`.

    Args:
        repo: the repository.
        plan: the plan's name.
        at: a commit of the plan's branch (default: its tip).
    """
    ref = at or refnames.plan_ref(plan)
    reasons = read_disputes(repo, ref)
    return [_as_shown(record, reasons) for record in _records(repo, ref) if not isinstance(record, str)]


def damaged_records(repo: Repository, plan: str, at: str | None = None) -> tuple[str, ...]:
    """Return what is wrong with each file of a ledger that is no record: it came from somewhere else.

    Args:
        repo: the repository.
        plan: the plan's name.
        at: a commit of the plan's branch (default: its tip).
    """
    return tuple(text for text in _records(repo, at or refnames.plan_ref(plan)) if isinstance(text, str))


def _records(repo: Repository, ref: str) -> Iterator[Record | str]:
    """Yield the records of a ledger, and a sentence for each file that is none."""
    files = Store(repo).read_all([ref], refnames.RECORDS)[ref]
    ids = _record_ids(repo)
    for name, content in sorted(files.items()):
        if name.endswith(".json"):
            try:
                _check_name(name, ids)
                yield _named(read_record(content, name), name[:-5])
            except PlannerError as error:
                yield error.message


def _record_ids(repo: Repository) -> RecordIds:
    now = utc_now()
    # Records have git's date, which may be ahead of the wall clock.
    return RecordIds(max(now, repo.fixed_date() or now))


def _check_name(name: str, ids: RecordIds) -> None:
    if not ids.allow(name.removesuffix(".json")):
        raise _unreadable_error(name, ValueError(_NO_ID))


def read_disputes(repo: Repository, ref: str) -> dict[str, str]:
    """Return why records of a ledger are disputed: record id -> reason.

    Args:
        repo: the repository.
        ref: the plan's branch, or a commit of it.
    """
    reasons: dict[str, str] = {}
    for name, content in sorted(Store(repo).read_all([ref], refnames.DISPUTES)[ref].items()):
        document = None
        # A pulled dispute may hold anything, and counts all the same.
        with suppress(PlannerError):
            document = canonical_json.loads(content, name)
        reasons.setdefault(dispute.disputed_record(name), dispute.describe(document))
    return reasons


def plan_names(repo: Repository) -> list[str]:
    """Return the names of all plans with a local branch, sorted, without guard proposals.

    Branches with names that no plan can have, as other people may push them, are skipped.
    """
    prefix = refnames.HEADS + refnames.PLAN
    names = (ref.removeprefix(prefix) for ref in list_refs(repo, prefix))
    return [name for name in names if refnames.is_plan_name(name)]


def read_record(content: bytes, where: str) -> Record:
    """Read one record's file.

    Raises:
        PlannerError: E_JSON.
    """
    # Lists read rows; the class of whole records takes a while to import.
    from git_planner.rules.records.record import record_from

    return _parse_record(content, where, record_from)


def find_record(repo: Repository, plan: str, record_id: str) -> Record:
    """Return one record of a plan by its complete id.

    Raises:
        PlannerError: E_NO_RECORD, E_JSON.
    """
    ref = refnames.plan_ref(plan)
    with repo.git.batch() as batch:
        content = batch.read(f"{ref}:{refnames.record_path(record_id)}")
    if content is None:
        raise PlannerError(
            "E_NO_RECORD",
            f"'{record_id}' is no record of plan '{plan}'",
            hint="list records with 'git record log'",
        )
    record = _named(read_record(content, refnames.record_path(record_id)), record_id)
    return _as_shown(record, read_disputes(repo, ref))


def read_baseline_proof(
    repo: Repository, plan: str, rows: Sequence[RecordRow], instrument: str
) -> Proof | None:
    """Return the tests that an instrument's baseline collected; None if unknown."""
    first = find_baseline(rows, instrument)
    if first is None or first.tests is None:
        return None
    with repo.git.batch() as batch:
        content = batch.read(f"{refnames.plan_ref(plan)}:{TESTS_FOLDER}/{first.tests}.json")
    if not content:
        return None
    from git_planner.rules.measuring.proofs.proof import proof_from

    # A damaged list is as good as none.
    with suppress(PlannerError, KeyError, TypeError, AttributeError):
        proof = proof_from(canonical_json.loads_trusted(content))
        # A list that was made shorter is not the one that the baseline collected.
        return proof if canonical_json.digest(proof.document()) == first.tests else None
    return None


class LedgerReader:
    """Reader of ledger rows, with a cache.

    Files that are no records are left out; `damaged` says why, by their names.

    Args:
        repo: the repository.
    """

    def __init__(self, repo: Repository) -> None:
        self.repo = repo
        self._cache = repo.private("cache", "ledger.json")
        self._known = _load_cache(self._cache)
        self._ids = _record_ids(repo)
        self.damaged: dict[str, str] = {}

    def read(self, *plans: str) -> list[RecordRow]:
        """Return all rows at the tips of some plans' branches, oldest first."""
        roots = self._trees(f"{tip}:{_LEDGER}" for tip in self._tips(plans))
        oids = [[root[name].oid for root in roots if name in root] for name in (_RECORDS, _DISPUTES)]
        return self._rows(*map(self._files, oids))

    def _tips(self, plans: Sequence[str]) -> list[str]:
        """Return names of the tips of some plans' branches."""
        refs = [refnames.plan_ref(plan) for plan in plans]
        if len(refs) <= _FEW_PLANS:
            return refs
        # Git resolves a thousand object ids sooner than a thousand branches.
        listed = list_refs(self.repo, refnames.HEADS + refnames.PLAN)
        return [listed[ref] for ref in refs if ref in listed]

    def _trees(self, names: Iterable[str]) -> list[Tree]:
        return [parse_tree(raw, self._id_bytes) for raw in read_objects(self.repo.git, names) if raw]

    def _files(self, folders: Iterable[str]) -> list[tuple[str, str]]:
        """Return the names and blobs of all files in some folders."""
        contents = read_objects(self.repo.git, folders)
        return [file for raw in contents if raw for file in parse_names(raw, self._id_bytes)]

    @property
    def _id_bytes(self) -> int:
        return 32 if self.repo.object_format == "sha256" else 20

    def read_at(self, snapshot: Snapshot) -> list[RecordRow]:
        """Return all rows on a snapshot of a plan's branch, oldest first."""
        folders = (snapshot.tree(folder) for folder in (refnames.RECORDS, refnames.DISPUTES))
        return self._rows(*([(name, entry.oid) for name, entry in folder.items()] for folder in folders))

    def measured_here(self, rows: Sequence[RecordRow], environment: str | None) -> list[RecordRow]:
        """Return the rows that were measured in this repository and are not disputed.

        Args:
            rows: rows as they were read.
            environment: the digest of the environment they were measured in; None for any. With one, a gain
                that was measured in rounds without lead-in is left out: it is measured again.
        """
        journal = read_journal(self.repo)
        return [
            row
            for row in rows
            if row.blob in journal
            and row.verdict != dispute.VERDICT
            and environment in (None, row.environment_digest)
            and (environment is None or row.lead_ins or row.verdict != "improved")
        ]

    def _rows(self, records: list[tuple[str, str]], disputes: list[tuple[str, str]]) -> list[RecordRow]:
        # An id begins with its time, so the order of names is the order of time.
        files = sorted((name[:-5], oid) for name, oid in records if name.endswith(".json"))
        new = {oid: f"{record_id}.json" for record_id, oid in files if oid not in self._known}
        if new:
            for (oid, name), content in zip(new.items(), read_objects(self.repo.git, new), strict=True):
                try:
                    self._known[oid] = _parse_record(content or b"", name, row_from)._replace(blob=oid)
                except PlannerError as error:
                    self.damaged[name] = error.message
        if len(new) >= _WORTH:
            _save_cache(self._cache, self._known)
        disputed = {dispute.disputed_record(name) for name, _ in disputes}
        find = self._known.get
        if not self._ids.allow_all([record_id for record_id, _ in files]):
            files = [(record_id, oid) for record_id, oid in files if self._allows(record_id, oid)]
        rows = [
            row if row.id == record_id else _renamed(row, record_id)
            for record_id, oid in files
            if (row := find(oid)) is not None
        ]
        return dispute.apply_to_rows(rows, disputed) if disputed else rows

    def _allows(self, record_id: str, oid: str) -> bool:
        """Return whether an id can be that of a record; note the name of a record with another one."""
        if self._ids.allow(record_id):
            return True
        if oid in self._known:
            name = f"{record_id}.json"
            self.damaged[name] = _unreadable_error(name, ValueError(_NO_ID)).message
        return False


def _renamed(row: RecordRow, record_id: str) -> RecordRow:
    """Return the row of a file that says another id than its name does: it was not written by us."""
    return row._replace(id=record_id, blob="")


def _named(record: Record, record_id: str) -> Record:
    """Return the record of a file by the id of its name, whatever it says itself."""
    return record if record.id == record_id else record.with_(id=record_id)


def _as_shown(record: Record, reasons: Mapping[str, str]) -> Record:
    why = reasons.get(record.id)
    return record if why is None else dispute.with_dispute(record, why)


def _parse_record(
    content: bytes, where: str, build: Callable[[Mapping[str, Any]], ParsedRecord]
) -> ParsedRecord:
    try:
        document = canonical_json.loads_trusted(content, many=True)
        if not isinstance(document, dict):
            raise TypeError("it is no object")
        check_record(document)
        return build(document)
    except (PlannerError, KeyError, TypeError, OverflowError) as error:
        raise _unreadable_error(where, error) from None


def _load_cache(path: Path) -> dict[str, RecordRow]:
    with suppress(OSError, PlannerError, ValueError):
        document = canonical_json.loads_trusted(atomic_file.read(path))
        if isinstance(document, dict) and document.get("fields") == _FIELDS:
            return dict(zip(document["rows"], map(RecordRow._make, document["rows"].values()), strict=True))
    return {}


def _save_cache(path: Path, rows: Mapping[str, RecordRow]) -> None:
    # The cache is a convenience: a full or read-only disk must not fail a command that only reads.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"fields": _FIELDS, "rows": {oid: list(row) for oid, row in rows.items()}}
        atomic_file.write(path, canonical_json.dumps_cache(document))


def _unreadable_error(where: str, error: Exception) -> PlannerError:
    return PlannerError(
        "E_JSON",
        f"'{where}' in the ledger is not a record ({_why(error)})",
        hint="see who wrote it with 'git log' on the plan's branch",
    )


def _why(error: Exception) -> str:
    """Return in words why a document is not a record."""
    if isinstance(error, KeyError):
        return f"it has no {str(error)[:100]}"
    if isinstance(error, PlannerError):
        return error.message[:200]
    # Python's own words about types say nothing to a person.
    is_ours = isinstance(error, ValueError) or str(error).startswith("'")
    return str(error)[:200] if is_ours else "it is not a document of the expected form"
