"""Collect what a reviewer of a spec's change is shown."""

from __future__ import annotations

from git_planner.flows.planning.list_iterations import list_iterations
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.records.ledger import LedgerReader
from git_planner.flows.review.directive import scope_at
from git_planner.flows.review.open_work import find_overlaps, read_summaries
from git_planner.flows.specs.source import open_source
from git_planner.flows.specs.validate import load_change
from git_planner.gitio.repository import Repository
from git_planner.rules.review.spec_review import SpecReview
from git_planner.rules.specs.change import change_folder


def has_change(repo: Repository, slug: str) -> bool:
    """Return whether the working tree, or HEAD where there is none, has a change of a spec."""
    if repo.top is not None:
        return (repo.top / change_folder(slug)).is_dir()
    return repo.maybe(f"HEAD:{change_folder(slug)}", "tree") is not None


def review_spec(repo: Repository, slug: str) -> SpecReview:
    """Collect the review of a change, valid or not.

    Raises:
        PlannerError: E_NAME, E_UNKNOWN_REF, E_POLICY, E_JSON, E_SCHEMA.
    """
    with open_source(repo, None if repo.top is not None else "HEAD") as source:
        change, label = load_change(source, slug), source.label
    head = repo.maybe("HEAD")
    scope = scope_at(repo, head)[1] if head else None
    plan = current_plan(repo, None)
    reader = LedgerReader(repo)
    writes = tuple(pattern for item in change.items for pattern in item.write_scope)
    overlaps = find_overlaps(
        repo,
        writes,
        plan=plan,
        tasks=read_summaries(repo, plan),
        iterations=list_iterations(repo, reader=reader),
        excluded=set(),
    )
    return SpecReview(change, label, scope, overlaps)
