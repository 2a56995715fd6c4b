"""Collect what a reviewer of a packet's branch is shown."""

from __future__ import annotations

from typing import Any

from git_planner.errors import PlannerError
from git_planner.flows.planning.list_iterations import list_iterations
from git_planner.flows.planning.manual import DIRECTIVE, PendingPacket, find_packet, read_answer
from git_planner.flows.records.ledger import LedgerReader
from git_planner.flows.review.directive import base_facts, with_context
from git_planner.flows.review.shown import shown
from git_planner.gitio.repository import Repository
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning.directive import directive_from
from git_planner.rules.review.directive_review import DirectiveReview


def review_packet(repo: Repository, branch: str) -> DirectiveReview:
    """Collect the review of a packet's branch, answered or not.

    Raises:
        PlannerError: E_UNKNOWN_REF, E_SCHEMA, E_POLICY.
    """
    pending = find_packet(repo, branch)
    packet = pending.packet
    directive, faults = _read_directive(pending)
    reader = LedgerReader(repo)
    rows = reader.read(packet["plan"])
    facts = DirectiveReview(
        branch=pending.branch,
        number=None,
        plan=packet["plan"],
        goal=shown(packet["goal_text"]),
        phase="the answer is not applied yet" if directive else "the packet waits for an answer",
        base=packet["base"],
        base_ref=shown(packet["base_ref"]),
        planner="a person, by hand",
        digest=canonical_json.digest(directive) if directive else "",
        directive=directive_from(shown(directive)) if directive else None,
        faults=shown(faults),
        **base_facts(repo, rows, packet["base"]),
    )
    return with_context(repo, facts, rows, list_iterations(repo, reader=reader))


def _read_directive(pending: PendingPacket) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Return the directive on a packet's branch; None with what is wrong with it."""
    try:
        answer = read_answer(pending.answer or b"", f"{pending.branch}:{DIRECTIVE}", pending.packet)
    except PlannerError as error:
        return None, tuple(error.details) or (error.message,)
    return answer, ()
