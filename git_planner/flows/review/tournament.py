"""Collect what a reviewer of a tournament's prompt is shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.approval.tournament_prompt import find_prompt
from git_planner.flows.planning.list_iterations import list_iterations
from git_planner.flows.records.ledger import LedgerReader
from git_planner.flows.review.directive import scope_at
from git_planner.flows.review.history import read_history
from git_planner.flows.review.open_work import find_overlaps, read_summaries
from git_planner.flows.review.shown import shown
from git_planner.gitio import history as git_history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.approval.subject import ReviewSubject
from git_planner.rules.review.tournament_review import PastTournament, TournamentReview
from git_planner.rules.tournament.run import TournamentRun
from git_planner.rules.tournament.variant import variant_from

_MAX_EARLIER, _MAX_RUNS = 8, 200


def review_prompt(repo: Repository, subject: ReviewSubject, *, phase: str, author: str) -> TournamentReview:
    """Collect the review of a prompt.

    Args:
        repo: the repository.
        subject: the prompt, with its valid document.
        phase: how far the turn is.
        author: who asks for it; empty for the author of the subject's commit.

    Raises:
        PlannerError: E_POLICY.
    """
    assert subject.document is not None
    base, plan, document = str(subject.base), subject.plan, subject.document
    if not author and subject.commit:
        raw = repo.git.bytes("log", "-1", "--no-show-signature", "--format=%an <%ae>", subject.commit)
        author = os.fsdecode(raw).strip()
    policy, scope = scope_at(repo, base)
    reader = LedgerReader(repo)
    metric = policy.metric if policy else None
    overlaps = find_overlaps(
        repo,
        (scope.allow if scope else ()) or ("**",),
        plan=plan,
        tasks=read_summaries(repo, plan),
        iterations=list_iterations(repo, reader=reader),
        excluded=set(),
    )
    own = f"variant {document['run']}/"
    return TournamentReview(
        name=subject.name,
        plan=plan,
        phase=phase,
        base=base,
        author=shown(author),
        digest=subject.digest,
        turn=shown(dict(document)),
        scope=scope,
        gates=tuple(gate.name for gate in policy.gates.conceptual) if policy else (),
        shipping=tuple(gate.name for gate in policy.gates.shipping) if policy else (),
        metric=metric.name if metric else "",
        history=read_history(repo, reader.read(plan), policy),
        earlier=_earlier(repo, plan, str(document["run"])),
        overlaps=tuple(overlap for overlap in overlaps if not overlap.name.startswith(own)),
    )


def _earlier(repo: Repository, plan: str, name: str) -> tuple[PastTournament, ...]:
    """Return the last tournaments of a plan besides this one, the oldest first."""
    runs = [run for run in _runs(repo) if run.plan == plan and run.run != name]
    runs.sort(key=lambda run: (run.created_at, run.run))
    return tuple(_past(repo, run) for run in runs[-_MAX_EARLIER:])


def _runs(repo: Repository) -> Iterator[TournamentRun]:
    """Yield the tournaments here; what is no run is left out."""
    prefix = refnames.HEADS + refnames.TOURNAMENT
    refs = [ref for ref in git_history.list_refs(repo, prefix) if ref.endswith("/run")]
    for ref in refs[-_MAX_RUNS:]:
        with suppress(PlannerError):
            yield find_prompt(repo, refnames.run_of_branch(refnames.short_name(ref)))[1]


def _past(repo: Repository, run: TournamentRun) -> PastTournament:
    variants = tokens = 0
    tip = repo.maybe(refnames.run_ref(run.run))
    for turn in run.turns:
        for number in range(1, refnames.MAX_VARIANT + 1):
            path = refnames.variant_path(run.run, turn.turn, number)
            answer = repo.git.read_object("contents", f"{tip}:{path}")
            if answer is None:
                break
            with suppress(PlannerError):
                usage = variant_from(documents.read("variant", bytes(answer[3]), path)).usage
                tokens += sum(usage.values())
            variants += 1
    selection = run.selection or {}
    ended = str(selection.get("rationale", "")) or ("not chosen yet" if variants else "not started")
    return PastTournament(shown(run.run), variants, tokens, shown(ended))
