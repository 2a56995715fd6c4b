"""`git record`: measure a commit the way the policy of its trusted base says, and keep the result.

The order is fixed: who is it, whose policy counts, guard, scope, then the measured tree, what is known of it
already, the baseline, correctness, the metrics, and last the verdict, on the ledger as it stands then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from git_planner.config.policy_file import policy_at
from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.measuring.candidate_tree import build_candidate
from git_planner.flows.records import remeasure_best
from git_planner.flows.records.recorder import Recorder, RecordResult, Tell
from git_planner.gitio import worktree
from git_planner.gitio.repository import Repository
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.planning.directive import IterationState
from git_planner.rules.records.record import REASONS


def record_commit(
    repo: Repository,
    ref: str = "HEAD",
    *,
    plan: str | None = None,
    force: bool = False,
    advance: bool = True,
    tell: Tell,
    extra: Mapping[str, Any] | None = None,
) -> RecordResult:
    """Measure a commit and keep the result in its plan's ledger.

    The trusted base is measured first when the plan has no valid record of the instrument yet; and before it
    the rolling best, when the base branch has changed the instrument since that was measured.

    Args:
        repo: the repository.
        ref: any name of the commit.
        plan: the plan; the iteration's own, or the current one, when None.
        force: measure again even where a result is known.
        advance: move the rolling best to an improved commit of an iteration.
        tell: progress.
        extra: what the caller knows besides: `agents`, `usage`, `seconds` and `notes` of the record.

    Raises:
        PlannerError: E_UNKNOWN_REF, E_UNBORN, E_STATE, E_NO_BASE, E_NO_POLICY, E_POLICY, E_EXPORT,
            E_MIN_GAIN, E_MEASURE, and what writing raises (E_CONFLICT, E_CHECKED_OUT, E_IDENTITY, E_NO_SPACE,
            E_GIT).
    """
    subject = trusted_base.find_subject(repo, ref, plan)
    subject = replace(subject, notes=(*subject.notes, *_uncommitted(repo, ref)))
    if advance:
        subject = remeasure_best.with_current_best(repo, subject, tell)
    return Recorder(repo, subject, tell, extra or {}, force=force, advance=advance).record()


def record_failure(
    repo: Repository,
    state: IterationState,
    commit: str,
    reason: str,
    *,
    violations: Sequence[str] = (),
    notes: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
    tell: Tell,
) -> RecordResult:
    """Keep an attempt that will not be measured, with the reason.

    Args:
        repo: the repository.
        state: the iteration it was made in.
        commit: the commit that holds what was tried; the state commit when nothing was.
        reason: a key of record.REASONS.
        violations: broken rules, such as 'changed: tests/test_x.py'.
        notes: remarks for the record.
        extra: as for `record`.
        tell: progress.

    Raises:
        PlannerError: E_NO_POLICY, E_POLICY, and what writing raises.
    """
    policy = policy_at(repo, state.base)
    subject = Subject(commit, state.branch, state, True, state.base, policy, state.plan, tuple(notes))
    said = ", ".join(f"'{violation.split(': ', 1)[-1]}'" for violation in violations[:3]) or next(
        (note.splitlines()[0] for note in notes if note), ""
    )
    tell(f"{state.branch}: {REASONS[reason]}")
    recorder = Recorder(repo, subject, tell, extra or {}, force=False, advance=False)
    candidate = replace(build_candidate(repo, subject, Refusal(reason, said)), violations=tuple(violations))
    return recorder.refuse(candidate, said=None if said else REASONS[reason])


def _uncommitted(repo: Repository, ref: str) -> tuple[str, ...]:
    """A note when the commit is the worktree's own and the worktree holds more than that."""
    if repo.bare or (ref != "HEAD" and repo.maybe("HEAD") != repo.maybe(ref)):
        return ()
    paths = worktree.dirty_paths(repo)
    return (f"the worktree had {len(paths)} uncommitted changes, which were not measured",) if paths else ()
