"""Collect what a reviewer of a proposed approval is shown: the directive that a merge would approve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.planning.list_iterations import list_iterations
from git_planner.flows.records.ledger import LedgerReader
from git_planner.flows.review.directive import base_facts, with_context
from git_planner.flows.review.shown import shown
from git_planner.flows.review.tournament import review_prompt
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.approval.subject import tournament_subject
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning.directive import directive_from
from git_planner.rules.plans import plan as plans
from git_planner.rules.review.directive_review import DirectiveReview, render_directive
from git_planner.rules.review.tournament_review import render_tournament


def render_proposed(repo: Repository, approval: Mapping[str, Any], where: str) -> str:
    """Render the directive in an approval, or the prompt of a tournament, maybe of another clone's branch.

    Args:
        repo: the repository.
        approval: a valid document that approves a directive.
        where: the name of its file in errors.

    Raises:
        PlannerError: E_SCHEMA if the document holds no valid directive, or another one; E_POLICY.
    """
    document, plan = approval["document"], str(approval["plan"])
    if document is None or canonical_json.digest(document) != approval["digest"]:
        raise PlannerError(
            "E_SCHEMA",
            f"'{where}' does not hold the directive that it names: merging it approves nothing",
            hint="make the request again with 'git plan review'",
        )
    name = str(approval["name"])
    if name.startswith(refnames.TOURNAMENT):
        return _render_prompt(repo, approval, where)
    if plans.packet_slug(name) is None and refnames.parse_iteration(name) is None:
        # It stands in commands that people copy.
        raise PlannerError(
            "E_SCHEMA",
            f"'{where}' names no branch of a directive",
            hint="make the request again with 'git plan review'",
        )
    documents.check("directive", document, where)
    reader = LedgerReader(repo)
    rows = reader.read(plan)
    facts = DirectiveReview(
        branch=name,
        number=None,
        plan=plan,
        goal="",
        phase="merging this request approves it",
        base=str(approval["base"]),
        base_ref="commit",
        planner=shown(f"as proposed by {approval['author']}"),
        digest=str(approval["digest"]),
        directive=directive_from(shown(document)),
        faults=(),
        **base_facts(repo, rows, str(approval["base"])),
    )
    return render_directive(with_context(repo, facts, rows, list_iterations(repo, reader=reader)))


def _render_prompt(repo: Repository, approval: Mapping[str, Any], where: str) -> str:
    documents.check("tournament-prompt", approval["document"], where)
    document = approval["document"]
    if approval["name"] != refnames.TOURNAMENT + document["run"]:
        raise PlannerError(
            "E_SCHEMA",
            f"'{where}' names another tournament than its prompt",
            hint="make the request again with 'git plan review'",
        )
    phase, author = "merging this request approves it", str(approval["author"])
    subject = tournament_subject(str(approval["plan"]), document["run"], document, str(approval["base"]))
    return render_tournament(review_prompt(repo, subject, phase=phase, author=author))
