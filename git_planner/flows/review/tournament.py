"""Collect what a reviewer of a tournament's prompt is shown."""

from __future__ import annotations

from git_planner.flows.records.ledger import LedgerReader
from git_planner.flows.review.directive import scope_at
from git_planner.flows.review.history import read_history
from git_planner.flows.review.shown import shown
from git_planner.gitio.repository import Repository
from git_planner.rules.approval.subject import ReviewSubject
from git_planner.rules.review.tournament_review import TournamentReview


def review_prompt(repo: Repository, subject: ReviewSubject, phase: str) -> TournamentReview:
    """Collect the review of a prompt.

    Args:
        repo: the repository.
        subject: the prompt, with its valid document.
        phase: how far the turn is.

    Raises:
        PlannerError: E_POLICY.
    """
    assert subject.document is not None
    document, base = subject.document, str(subject.base)
    policy, scope = scope_at(repo, base)
    fields = {name: shown(document[name]) for name in ("prompt", "source", "environment")}
    return TournamentReview(
        run=document["run"],
        turn=document["turn"],
        plan=subject.plan,
        phase=shown(phase),
        base=base,
        digest=subject.digest,
        attempts=document["attempts"],
        follows=document["follows"],
        scope=scope,
        gates=tuple(gate.name for gate in policy.gates.of("conceptual")) if policy else (),
        history=read_history(repo, LedgerReader(repo).read(subject.plan), policy),
        **fields,
    )
