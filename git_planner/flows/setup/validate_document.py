"""Judging a document of any kind by its schema and by what a schema cannot say. Reads only."""

from __future__ import annotations

import re
from collections.abc import Mapping
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

_SCHEMA = re.compile(r"git-planner/([a-z-]+)@1")
_OURS = (refnames.STATE_FILE, "planner_packets/directive.json", refnames.POLICY_FILE)


@dataclass(frozen=True, slots=True)
class Judged:
    """A document that was judged: what kind it is, where it came from, and one sentence a fault."""

    kind: str | None
    where: str
    faults: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The judgement as one JSON object."""
        return {
            "schema": "git-planner/validated@1",
            "kind": self.kind,
            "where": self.where,
            "valid": not self.faults,
            "faults": list(self.faults),
        }


def load(repo: Repository | None, name: str) -> tuple[bytes, str]:
    """The bytes of a document named by a file, by 'REF:PATH' or by a ref that holds one of ours.

    Returns:
        The bytes, and what to call them in a message.

    Raises:
        PlannerError: E_UNKNOWN_REF; E_JSON when it is too large.
    """
    path = Path(name)
    if path.is_file():
        if path.stat().st_size > canonical_json.MAX_BYTES:
            raise PlannerError("E_JSON", f"'{name}' has more than {canonical_json.MAX_BYTES:,} bytes")
        return path.read_bytes(), name
    if repo is not None:
        tried = [name] if ":" in name else [f"{name}:{inner}" for inner in (*_plan_file(name), *_OURS)]
        with repo.git.batch() as batch:
            for each in tried:
                found = batch.info(each)
                if found and found[1] == "blob":
                    if found[2] > canonical_json.MAX_BYTES:
                        raise PlannerError(
                            "E_JSON", f"'{each}' has more than {canonical_json.MAX_BYTES:,} bytes"
                        )
                    return batch.read(each) or b"", each
    raise PlannerError(
        "E_UNKNOWN_REF",
        f"'{name}' is neither a file nor a ref that holds a document",
        hint="name a file, 'REF:PATH', or a branch such as 'iter/0001-next'",
    )


def _plan_file(name: str) -> list[str]:
    short = name.removeprefix(refnames.HEADS).removeprefix(refnames.PLAN)
    return [f".plans/{short}/{pages.FIRST_PAGE}"] if plans.is_plan_name(short) else []


def judge_document(data: bytes, where: str) -> Judged:
    """Judge a document of any kind by the kind that its 'schema' says."""
    if where.endswith((".yml", ".yaml")):
        try:
            parse_policy(data, where)
        except PlannerError as error:
            return Judged("policy", where, error.details or (error.message,))
        return Judged("policy", where, ())
    try:
        document = canonical_json.loads(data, where)
    except PlannerError as error:
        return Judged(None, where, (f"/: {error.message}",))
    if not isinstance(document, dict):
        return Judged(None, where, ("/: is not an object",))
    kind = _kind(document)
    if kind is None:
        return Judged(None, where, (f"/schema: must be one of {_known()}",))
    whole = document if "schema" in document else documents.complete_answer(kind, document)
    faults = documents.validate(kind, whole)
    return Judged(kind, where, tuple(faults or _beyond_schema(kind, whole)))


def _kind(document: Mapping[str, Any]) -> str | None:
    named = document.get("schema")
    if isinstance(named, str):
        found = _SCHEMA.fullmatch(named)
        return found[1] if found and found[1] in documents.KINDS else None
    if named is None and "step_plan" in document:
        return "directive"
    return "planning-plan" if named is None and "plan_summary" in document else None


def _known() -> str:
    return ", ".join(f"'git-planner/{kind}@1'" for kind in documents.KINDS)


def _beyond_schema(kind: str, document: Mapping[str, Any]) -> list[str]:
    """What a schema cannot say."""
    if kind == "planning-plan":
        return graphs.find_step_faults(document)
    if kind == "plan-options":
        return options.find_option_faults(document)
    if kind == "state" and canonical_json.digest(document["directive"]) != document["directive_digest"]:
        return ["/directive_digest: is not the digest of /directive"]
    if kind == "plan":
        graph = {task["id"]: task["dependencies"] for task in document["tasks"]}
        cycle = find_cycle(graph)
        if len(graph) < len(document["tasks"]):
            return ["/tasks: two tasks have one id"]
        return [f"/tasks: dependency cycle: {' → '.join(cycle)}"] if cycle else []
    return []
