"""Read a plan as one document from its pages, and write it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from git_planner import documents, redact
from git_planner.flows.plans.page_store import Pages, check_unique_numbers
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot, Store
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.plans import plan as plans


def read_plan(repo: Repository, plan: str) -> dict[str, Any] | None:
    """A plan's document with all its tasks; None when there is no such plan yet.

    Raises:
        PlannerError: E_JSON, E_SCHEMA when somebody wrote something else there.
    """
    with repo.git.batch() as batch:
        return read_plan_at(repo, Store(repo).snapshot(refnames.plan_ref(plan), batch), plan)


def read_plan_at(repo: Repository, seen: Snapshot, plan: str) -> dict[str, Any] | None:
    """A plan's document on a snapshot of its branch; None when it holds none."""
    found = Pages(repo, plan).read(seen)
    return plans.join_pages(found) if pages.FIRST_PAGE in found else None


def plan_edits(document: Mapping[str, Any], plan: str) -> dict[str, bytes | None]:
    """The files of a plan's document.

    Raises:
        PlannerError: E_MERGE when two of its tasks have one number; E_SCHEMA.
    """
    check_unique_numbers(document, plan)
    folder = refnames.plan_dir(plan)
    edits: dict[str, bytes | None] = {}
    for name, page in plans.split_plan(document).items():
        masked = redact.mask_document(page)
        documents.check("plan", masked, f"{folder}/{name}")
        edits[f"{folder}/{name}"] = canonical_json.dumps(masked)
    return edits
