"""Read a plan's ledger: complete records, or the rows that lists and decisions need.

Rows are kept in a derived cache in the common directory, each row under its blob's id. It may be
deleted, truncated or stale at any time: missing rows are read from git.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.gitio.git import read_objects
from git_planner.gitio.history import list_refs
from git_planner.gitio.objects import Tree, parse_tree
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot, Store
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.records.record import Record, record_from
from git_planner.rules.records.row import RecordRow, find_baseline, row_from

if TYPE_CHECKING:
    from git_planner.rules.measuring.correctness_report import Proof

ParsedRecord = TypeVar("ParsedRecord", Record, RecordRow)
TESTS_FOLDER = "experiments/tests"
# Rewrite the cache only after this many new records, when reading them again would cost more.
_WORTH = 64
_FIELDS = list(RecordRow._fields)


def read_ledger(repo: Repository, plan: str, at: str | None = None) -> list[Record]:
    """Return all records of a plan, oldest first; an empty list if there is no such plan.

    Args:
        repo: the repository.
        plan: the plan's name.
        at: a commit of the plan's branch (default: its tip).

    Raises:
        PlannerError: E_JSON when a file of the ledger is no record.
    """
    ref = at or refnames.plan_ref(plan)
    files = Store(repo).read_all([ref], refnames.RECORDS)[ref]
    return [read_record(content, name) for name, content in sorted(files.items()) if name.endswith(".json")]


def plan_names(repo: Repository) -> list[str]:
    """Return the names of all plans with a local branch, sorted, without guard proposals."""
    prefix = refnames.HEADS + refnames.PLAN
    names = [ref.removeprefix(prefix) for ref in list_refs(repo, prefix)]
    proposed = refnames.PROPOSALS.removeprefix(refnames.PLAN)
    return [name for name in names if name and "/" not in name and not name.startswith(proposed)]


def read_record(content: bytes, where: str) -> Record:
    """Read one record's file.

    Raises:
        PlannerError: E_JSON.
    """
    return _parse_record(content, where, record_from)


def find_record(repo: Repository, plan: str, record_id: str) -> Record:
    """Return one record of a plan by its complete id.

    Raises:
        PlannerError: E_NO_RECORD, E_JSON.
    """
    with repo.git.batch() as batch:
        content = batch.read(f"{refnames.plan_ref(plan)}:{refnames.record_path(record_id)}")
    if content is None:
        raise PlannerError(
            "E_NO_RECORD",
            f"'{record_id}' is no record of plan '{plan}'",
            hint="list records with 'git record log'",
        )
    return read_record(content, refnames.record_path(record_id))


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
    from git_planner.rules.measuring.correctness_report import proof_from

    return proof_from(canonical_json.loads_trusted(content))


class LedgerReader:
    """Reader of ledger rows, with a cache.

    Args:
        repo: the repository.
    """

    def __init__(self, repo: Repository) -> None:
        self.repo = repo
        self._cache = repo.private("cache", "ledger.json")
        self._known = _load_cache(self._cache)

    def read(self, *plans: str) -> list[RecordRow]:
        """Return all rows at the tips of some plans' branches, oldest first."""
        id_bytes = 32 if self.repo.object_format == "sha256" else 20
        folders = read_objects(
            self.repo.git, (f"{refnames.plan_ref(plan)}:{refnames.RECORDS}" for plan in plans)
        )
        return self._rows([parse_tree(raw, id_bytes) for raw in folders if raw])

    def read_at(self, snapshot: Snapshot) -> list[RecordRow]:
        """Return all rows on a snapshot of a plan's branch, oldest first."""
        return self._rows([snapshot.tree(refnames.RECORDS)])

    def _rows(self, folders: Sequence[Tree]) -> list[RecordRow]:
        files = [
            (name, entry.oid) for tree in folders for name, entry in tree.items() if name.endswith(".json")
        ]
        new = {oid: name for name, oid in files if oid not in self._known}
        if new:
            for (oid, name), content in zip(new.items(), read_objects(self.repo.git, new), strict=True):
                self._known[oid] = _parse_record(content or b"", name, row_from)
        if len(new) >= _WORTH:
            _save_cache(self._cache, self._known)
        # An id begins with its time, so the order of names is the order of time.
        return [self._known[oid] for _, oid in sorted(files)]


def _parse_record(
    content: bytes, where: str, build: Callable[[Mapping[str, Any]], ParsedRecord]
) -> ParsedRecord:
    try:
        document = canonical_json.loads_trusted(content, many=True)
        if not isinstance(document, dict):
            raise TypeError("it is no object")
        return build(document)
    except (PlannerError, KeyError, TypeError) as error:
        raise _unreadable_error(where, error) from None


def _load_cache(path: Path) -> dict[str, RecordRow]:
    with suppress(OSError, PlannerError, ValueError):
        document = canonical_json.loads_trusted(path.read_bytes())
        if isinstance(document, dict) and document.get("fields") == _FIELDS:
            return {oid: RecordRow(*values) for oid, values in document["rows"].items()}
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
        f"'{where}' in the ledger is not a record ({type(error).__name__}: {str(error)[:200]})",
        hint="see who wrote it with 'git log' on the plan's branch",
    )
