"""Read the remarks of reviewers on the branch of a plan."""

from __future__ import annotations

from contextlib import suppress

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Store
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans.remarks import MAX_REMARKS, Remark, remark_from, remarks_folder, sort_remarks

_MAX_BYTES = 64 * 1024


def read_remarks(repo: Repository, plan: str) -> list[Remark]:
    """Return the remarks on a plan, the oldest first; files that are none are left out."""
    ref = refnames.plan_ref(plan)
    files = Store(repo).read_all([ref], remarks_folder(plan))[ref]
    remarks = []
    for name, content in list(files.items())[:MAX_REMARKS]:
        with suppress(PlannerError):
            remarks.append(parse_remark(content, name))
    return sort_remarks(remarks)


def parse_remark(content: bytes, where: str) -> Remark:
    """Return the remark of a file.

    Raises:
        PlannerError: E_JSON, E_SCHEMA.
    """
    document = canonical_json.loads(content, where, limit=_MAX_BYTES)
    documents.check("remark", document, where)
    return remark_from(document)
