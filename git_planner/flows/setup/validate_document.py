"""Validate a document of any kind: its schema, then rules beyond the schema. Reads only."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import documents
from git_planner.config.policy_file import parse_policy
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.discovery import options
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning import planning_plan as graphs
from git_planner.rules.plans import pages
from git_planner.rules.plans import plan as plans
from git_planner.rules.tasks.dependency_graph import find_cycle
from git_planner.rules.tournament.winner.coverage import coverage_problems

_SCHEMA = re.compile(r"git-planner/([a-z-]+)@1")
_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "coverage": coverage_problems,
    "plan-options": options.find_option_faults,
    "planning-plan": graphs.find_step_faults,
}
_DOCUMENT_FILES = (refnames.STATE_FILE, "planner_packets/directive.json", refnames.POLICY_FILE)


@dataclass(frozen=True, slots=True)
class DocumentCheck:
    """Result of validating a document: its kind, its source, and one sentence per fault."""

    kind: str | None
    where: str
    faults: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON object."""
        return {
            "schema": "git-planner/validated@1",
            "kind": self.kind,
            "where": self.where,
            "valid": not self.faults,
            "faults": list(self.faults),
        }


def load_document(repo: Repository | None, name: str) -> tuple[bytes, str]:
    """Read a document from a file, from 'REF:PATH', or from a ref that contains a known document.

    Returns:
        The bytes, and their name for messages.

    Raises:
        PlannerError: E_UNKNOWN_REF; E_JSON when it is too large.
    """
    path = Path(name)
    if path.is_file():
        if path.stat().st_size > canonical_json.MAX_BYTES:
            raise PlannerError("E_JSON", f"'{name}' has more than {canonical_json.MAX_BYTES:,} bytes")
        return path.read_bytes(), name
    if repo is not None:
        names = (
            [name] if ":" in name else [f"{name}:{inner}" for inner in (*_plan_files(name), *_DOCUMENT_FILES)]
        )
        with repo.git.batch() as batch:
            for candidate in names:
                info = batch.info(candidate)
                if info and info[1] == "blob":
                    if info[2] > canonical_json.MAX_BYTES:
                        raise PlannerError(
                            "E_JSON", f"'{candidate}' has more than {canonical_json.MAX_BYTES:,} bytes"
                        )
                    return batch.read(candidate) or b"", candidate
    raise PlannerError(
        "E_UNKNOWN_REF",
        f"'{name}' is neither a file nor a ref with a document",
        hint="name a file, 'REF:PATH', or a branch such as 'iter/0001-next'",
    )


def _plan_files(name: str) -> list[str]:
    short = name.removeprefix(refnames.HEADS).removeprefix(refnames.PLAN)
    return [f".plans/{short}/{pages.FIRST_PAGE}"] if plans.is_plan_name(short) else []


def check_document(data: bytes, where: str) -> DocumentCheck:
    """Validate a document by the kind that its 'schema' names."""
    if where.endswith((".yml", ".yaml")):
        try:
            parse_policy(data, where)
        except PlannerError as error:
            return DocumentCheck("policy", where, error.details or (error.message,))
        return DocumentCheck("policy", where, ())
    try:
        document = canonical_json.loads(data, where)
    except PlannerError as error:
        return DocumentCheck(None, where, (f"/: {error.message}",))
    if not isinstance(document, dict):
        return DocumentCheck(None, where, ("/: is not an object",))
    kind = _kind(document)
    if kind is None:
        return DocumentCheck(None, where, (f"/schema: must be one of {_known_schemas()}",))
    completed = document if "schema" in document else documents.complete_answer(kind, document)
    faults = documents.validate(kind, completed)
    return DocumentCheck(kind, where, tuple(faults or _semantic_faults(kind, completed)))


def _kind(document: Mapping[str, Any]) -> str | None:
    schema = document.get("schema")
    if isinstance(schema, str):
        match = _SCHEMA.fullmatch(schema)
        return match[1] if match and match[1] in documents.KINDS else None
    if schema is None and "step_plan" in document:
        return "directive"
    return "planning-plan" if schema is None and "plan_summary" in document else None


def _known_schemas() -> str:
    return ", ".join(f"'git-planner/{kind}@1'" for kind in documents.KINDS)


def _semantic_faults(kind: str, document: Mapping[str, Any]) -> list[str]:
    """Return the faults that a schema cannot express."""
    if kind in _CHECKS:
        return _CHECKS[kind](document)
    if kind == "state" and canonical_json.digest(document["directive"]) != document["directive_digest"]:
        return ["/directive_digest: is not the digest of /directive"]
    if kind == "plan":
        graph = {task["id"]: task["dependencies"] for task in document["tasks"]}
        cycle = find_cycle(graph)
        if len(graph) < len(document["tasks"]):
            return ["/tasks: two tasks have the same id"]
        return [f"/tasks: dependency cycle: {' → '.join(cycle)}"] if cycle else []
    return []
