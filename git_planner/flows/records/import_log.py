"""`git record import`: rows of an older log become records of a plan, once, however often it is read."""

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


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of a log. `faults` has one sentence a line that could not be read."""

    plan: str
    added: int
    known: int
    faults: tuple[str, ...]

    @property
    def exit(self) -> int:
        """0 when every line was read."""
        return NO if self.faults else DONE

    def document(self) -> dict[str, Any]:
        """The outcome as a JSON document."""
        return {
            "schema": "git-planner/import@1",
            "plan": self.plan,
            "added": self.added,
            "known": self.known,
            "faults": list(self.faults),
        }


def import_log(repo: Repository, data: bytes, where: str, plan: str) -> ImportResult:
    """Read a log's rows into a plan's ledger; lines that are no rows are told, not dropped.

    Args:
        repo: the repository.
        data: the log, one JSON object a line.
        where: what to call it in messages.
        plan: the plan; its branch is made from HEAD's commit when it is new.

    Raises:
        PlannerError: what writing raises; E_UNBORN.
    """
    found: dict[str, bytes] = {}
    faults = []
    for place, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = record_from_row(line, f"{where}:{place}", plan)
            document = redact.mask_document(record.document())
            documents.check(
                "record", canonical_json.loads_trusted(canonical_json.dumps(document)), f"{where}:{place}"
            )
        except PlannerError as error:
            faults.append(error.message)
        else:
            found[refnames.record_path(record.id)] = canonical_json.dumps(document)
    added = _write(repo, plan, found, where) if found else 0
    return ImportResult(plan, added, len(found) - added, tuple(faults))


def _write(repo: Repository, plan: str, found: Mapping[str, bytes], where: str) -> int:
    ref = refnames.plan_ref(plan)
    base = None if repo.maybe(ref) else repo.resolve("HEAD")
    added = 0

    def change(seen: Snapshot) -> dict[str, bytes | None]:
        nonlocal added
        there = set(seen.names(refnames.RECORDS))
        new: dict[str, bytes | None] = {
            path: content for path, content in found.items() if path.rsplit("/", 1)[1] not in there
        }
        added = len(new)
        return new

    message = Message(
        f"import {len(found)} records of an older log",
        (("Planner-Op", "import"), ("Planner-Args", where)),
    )
    Store(repo).edit(ref, change, message, base=base)
    return added
