"""Collect what a reviewer of an iteration's directive is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from git_planner.config.policy_file import policy_or_none
from git_planner.flows.planning.list_iterations import PHASE_TEXTS, Iteration
from git_planner.flows.records.ledger import LedgerReader
from git_planner.flows.review.history import family_attempts, read_history
from git_planner.flows.review.open_work import find_overlaps, read_summaries
from git_planner.flows.review.shown import shown
from git_planner.gitio import history as git_history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.planning.directive import directive_from
from git_planner.rules.policy.policy import Policy
from git_planner.rules.printable import printable_path
from git_planner.rules.records.row import RecordRow
from git_planner.rules.review.directive_review import DirectiveReview
from git_planner.rules.review.sections import Scope

_MAX_CHANGED = 200


def review_iteration(
    repo: Repository, iteration: Iteration, iterations: Sequence[Iteration], reader: LedgerReader
) -> DirectiveReview:
    """Collect the review of an iteration's directive.

    Args:
        repo: the repository.
        iteration: an iteration that has a state.
        iterations: all iterations.
        reader: the reader of ledgers with which they were listed.

    Raises:
        PlannerError: E_POLICY.
    """
    state = iteration.state
    assert state is not None
    usage = sum((state.planner.get("usage") or {}).values())
    model = f" ({state.planner['model']})" if state.planner["model"] else ""
    rows = reader.read(state.plan)
    facts = DirectiveReview(
        branch=state.branch,
        number=iteration.number,
        plan=state.plan,
        goal="",
        phase=PHASE_TEXTS[iteration.phase],
        base=state.base,
        base_ref=shown(state.base_ref),
        planner=shown(f"{state.planner['name']}{model}" + (f", {usage:,} tokens" if usage else "")),
        digest=state.directive_digest,
        directive=directive_from(shown(state.directive.document())),
        faults=(),
        **base_facts(repo, rows, state.base),
    )
    goal = "reach" if state.goal == "threshold" else "better than the best"
    goal = f"{goal} {state.threshold:g}" if state.threshold is not None else goal
    facts = replace(facts, goal=goal, changed=_changed_paths(repo, iteration))
    return with_context(repo, facts, rows, iterations)


def scope_at(repo: Repository, commit: str) -> tuple[Policy | None, Scope | None]:
    """Return policy and scope of a base commit; None if the commit or its policy is not here.

    Raises:
        PlannerError: E_POLICY.
    """
    policy = policy_or_none(repo, commit) if repo.maybe(commit) is not None else None
    if policy is None:
        return None, None
    return policy, Scope(commit, shown(policy.allow), shown(policy.forbid), shown(policy.guarded))


def base_facts(repo: Repository, rows: Sequence[RecordRow], base: str) -> dict[str, Any]:
    """Return the facts that follow from base and ledger; what `with_context` adds is empty."""
    policy, scope = scope_at(repo, base)
    return {
        "scope": scope,
        "changed": (),
        "history": read_history(repo, rows, policy),
        "family": (),
        "family_attempts": 0,
        "overlaps": (),
    }


def with_context(
    repo: Repository, facts: DirectiveReview, rows: Sequence[RecordRow], iterations: Sequence[Iteration]
) -> DirectiveReview:
    """Return a review with the strategy family's attempts and the open work that overlaps."""
    family = facts.directive.strategy_family if facts.directive else ""
    past, total = family_attempts(repo, rows, family) if family else ((), 0)
    writes = facts.changed or (facts.scope.allow if facts.scope else ())
    overlaps = find_overlaps(
        repo,
        writes or ("**",),
        plan=facts.plan,
        tasks=read_summaries(repo, facts.plan),
        iterations=iterations,
        excluded={facts.branch},
    )
    best = _newer_best(repo, facts)
    return replace(facts, family=past, family_attempts=total, overlaps=overlaps, newer_best=best)


def _newer_best(repo: Repository, facts: DirectiveReview) -> str | None:
    """Return the best of the plan if the base of what is still to run does not contain it."""
    best = repo.maybe(refnames.best_ref(facts.plan))
    if best is None or facts.changed or repo.maybe(facts.base) is None:
        return None
    return None if git_history.is_ancestor(repo.git, best, facts.base) else best


def _changed_paths(repo: Repository, iteration: Iteration) -> tuple[str, ...]:
    base = iteration.start or (iteration.state.base if iteration.state else None)
    tip = iteration.tip
    if base is None or tip is None or base == tip or repo.maybe(base) is None:
        return ()
    changes = git_history.changes(repo.git, base, tip)
    paths = [printable_path(change.path) for change in changes if change.path != refnames.STATE_FILE]
    return tuple(paths[:_MAX_CHANGED])
