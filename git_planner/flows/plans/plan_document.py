"""Read a plan's pages as one document, and split it into pages again."""

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
    """Return a plan's document with all its tasks; None when there is no such plan.

    Raises:
        PlannerError: E_JSON, E_SCHEMA when a file there is no page.
    """
    with repo.git.batch() as batch:
        return read_plan_at(repo, Store(repo).snapshot(refnames.plan_ref(plan), batch), plan)


def read_plan_at(repo: Repository, snapshot: Snapshot, plan: str) -> dict[str, Any] | None:
    """Return a plan's document on a snapshot of its branch; None when it holds none."""
    page_documents = Pages(repo, plan).read(snapshot)
    return plans.join_pages(page_documents) if pages.FIRST_PAGE in page_documents else None


def plan_edits(document: Mapping[str, Any], plan: str) -> dict[str, bytes | None]:
    """Return the files of a plan's document.

    Raises:
        PlannerError: E_MERGE when two of its tasks share a number; E_SCHEMA.
    """
    check_unique_numbers(document, plan)
    folder = refnames.plan_dir(plan)
    edits: dict[str, bytes | None] = {}
    for name, page in plans.split_plan(document).items():
        masked = redact.mask_document(page)
        documents.check("plan", masked, f"{folder}/{name}")
        edits[f"{folder}/{name}"] = canonical_json.dumps(masked)
    return edits
