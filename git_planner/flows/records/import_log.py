"""`git record import`: import the rows of an older log as records of a plan, each once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from git_planner import documents, redact
from git_planner.errors import DONE, NO, PlannerError
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Store
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.records.legacy_log import record_from_row

# More than a loop writes in years.
MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImportResult:
    """Result of an import. `faults` has one message per line that could not be read."""

    plan: str
    added: int
    known: int
    faults: tuple[str, ...]

    @property
    def exit(self) -> int:
        """Return 0 if every line was read."""
        return NO if self.faults else DONE

    def document(self) -> dict[str, Any]:
        """Return the result as a JSON document."""
        return {
            "schema": "git-planner/import@1",
            "plan": self.plan,
            "added": self.added,
            "known": self.known,
            "faults": list(self.faults),
        }


def import_log(repo: Repository, data: bytes, source: str, plan: str) -> ImportResult:
    """Import a log's rows into a plan's ledger; report lines that are no rows.

    Args:
        repo: the repository.
        data: the log, one JSON object per line.
        source: its name in messages.
        plan: the plan; its branch is made from HEAD's commit when it is new.

    Raises:
        PlannerError: E_JSON; what writing raises; E_UNBORN.
    """
    if len(data) > MAX_BYTES:
        raise PlannerError(
            "E_JSON",
            f"'{source}' has more than {MAX_BYTES:,} bytes",
            hint="import it in parts, with 'git record import'",
        )
    records: dict[str, bytes] = {}
    faults = []
    for line_number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = record_from_row(line, f"{source}:{line_number}", plan)
            document = redact.mask_document(record.document())
            documents.check(
                "record",
                canonical_json.loads_trusted(canonical_json.dumps(document)),
                f"{source}:{line_number}",
            )
        except PlannerError as error:
            faults.append(error.message)
        else:
            records[refnames.record_path(record.id)] = canonical_json.dumps(document)
    added = _write_records(repo, plan, records, source) if records else 0
    return ImportResult(plan, added, len(records) - added, tuple(faults))


def _write_records(repo: Repository, plan: str, records: Mapping[str, bytes], source: str) -> int:
    ref = refnames.plan_ref(plan)
    base = None if repo.maybe(ref) else repo.resolve("HEAD")
    added = 0

    def change(snapshot: Snapshot) -> dict[str, bytes | None]:
        nonlocal added
        existing = set(snapshot.names(refnames.RECORDS))
        new: dict[str, bytes | None] = {
            path: content for path, content in records.items() if path.rsplit("/", 1)[1] not in existing
        }
        added = len(new)
        return new

    message = Message(
        f"import {len(records)} records of an older log",
        (("Planner-Op", "import"), ("Planner-Args", source)),
    )
    Store(repo).edit(ref, change, message, base=base)
    return added
