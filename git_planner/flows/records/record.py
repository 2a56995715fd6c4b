"""`git record`: measure a commit under the policy of its trusted base, and write the record.

The order is fixed: commit, policy, guard, scope, measured tree, known results, baseline, correctness,
metrics, and last the verdict, against the ledger at that time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.measuring.benches.bench import Bench, on_one_worker
from git_planner.flows.measuring.candidate_tree import build_candidate
from git_planner.flows.plans.best_place import find_moved_best
from git_planner.flows.plans.current_plan import check_pulled
from git_planner.flows.records import remeasure_best
from git_planner.flows.records.ledger import LedgerReader
from git_planner.flows.records.recorder import Recorder, RecordResult
from git_planner.gitio import worktree
from git_planner.gitio.content.placeholders import find_placeholders
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.planning.directive import TASK_PLANNER, IterationState
from git_planner.rules.records.row import REASONS


def record_commit(
    repo: Repository,
    ref: str = "HEAD",
    *,
    plan: str | None = None,
    force: bool = False,
    advance: bool = True,
    from_red: bool = False,
    approved: bool = False,
    progress: Progress,
    extra: Mapping[str, Any] | None = None,
    bench: Bench | None = None,
) -> RecordResult:
    """Measure a commit and write the record to its plan's ledger.

    If the base branch has changed the instrument, the rolling best is measured again first. Then the trusted
    base is measured, if the plan has no valid record of the instrument.

    Args:
        repo: the repository.
        ref: a revision of the commit.
        plan: the plan (default: the iteration's, then the current one).
        force: measure again even if a result is known.
        advance: move the rolling best to an improved commit of an iteration.
        from_red: let the first valid attempt become the best of a base whose tests fail.
        approved: refuse work on a directive that needs an approval and has none, unless it has a record.
        progress: called with each progress message.
        extra: further fields of the record: `agents`, `usage`, `seconds` and `notes`.
        bench: where it is measured (default: this host).

    Raises:
        PlannerError: E_UNKNOWN_REF, E_UNBORN, E_STATE, E_NO_BASE, E_NO_POLICY, E_POLICY, E_EXPORT,
            E_MIN_GAIN, E_MEASURE, E_REVIEW, and what writing raises (E_CONFLICT, E_CHECKED_OUT, E_IDENTITY,
            E_NO_SPACE, E_GIT).
    """
    subject = trusted_base.find_subject(repo, ref, plan)
    check_pulled(repo, subject.plan)
    if approved:
        _require_approval(repo, subject, progress)
    subject = replace(subject, notes=(*subject.notes, *_uncommitted_note(repo, ref, progress)))

    def record() -> RecordResult:
        noted = remeasure_best.with_current_best(repo, subject, progress, bench) if advance else subject
        return Recorder(
            repo,
            noted,
            progress,
            extra or {},
            force=force,
            advance=advance,
            from_red=from_red,
            bench=bench,
        ).record()

    result = on_one_worker(record, progress)
    moved = find_moved_best(repo, subject.plan) if advance else None
    if moved is not None:
        progress(f"{moved.message}; '{moved.fix}' brings it back")
    return result


def _require_approval(repo: Repository, subject: Subject, progress: Progress) -> None:
    """Refuse work on a directive that nobody has approved: its commands would run, and it could be the best.

    Raises:
        PlannerError: E_REVIEW.
    """
    state = subject.state
    if state is None or state.planner["name"] == TASK_PLANNER:
        return
    # Most records are cached or ask for no approval, and are spared the import.
    from git_planner.flows.approval.trusted_rule import with_trusted_rule

    policy = with_trusted_rule(repo, subject.policy, "directive")
    start = repo.maybe(f"{refnames.ITERATIONS}{state.iteration:04d}")
    if not policy.review.directives or subject.commit in (start, state.base):
        return
    if all(row.commit != subject.commit for row in LedgerReader(repo).read(subject.plan)):
        from git_planner.flows.approval.approval import require
        from git_planner.rules.approval.subject import state_subject

        require(
            repo,
            policy,
            state_subject(state, start or state.base),
            progress,
            then=f"git record {state.branch}",
        )


def ensure_base(
    repo: Repository,
    plan: str,
    base: str,
    *,
    from_red: bool,
    progress: Progress,
    bench: Bench | None = None,
) -> None:
    """Measure the base of an iteration, unless it has a valid result here, before anyone is paid.

    Args:
        repo: the repository.
        plan: the plan of the ledger.
        base: the commit that the iteration starts from.
        from_red: accept a base whose tests fail.
        progress: called with each progress message.
        bench: where it is measured (default: this host).

    Raises:
        PlannerError: E_MEASURE if there is nothing to compare an attempt with; what recording raises.
    """
    subject = Subject(base, None, None, False, base, policy_at(repo, base), plan, ("the trusted base",))
    problem = on_one_worker(
        lambda: Recorder(
            repo, subject, progress, {}, force=False, advance=False, from_red=from_red, bench=bench
        ).check_base(),
        progress,
    )
    if problem is not None:
        red = problem.reason == "red_base"
        raise PlannerError(
            "E_MEASURE",
            f"{REASONS[problem.reason]}: {problem.sentence}",
            hint="repair the base branch, or start with 'git iterate --from-red'"
            if red
            else f"see its output with 'git record --print-output {base[:12]}'",
            # The likely cause.
            details=[f"in the measured tree {text}" for text in find_placeholders(repo, base).sentences()],
        )


def record_failure(
    repo: Repository,
    state: IterationState,
    commit: str,
    reason: str,
    *,
    violations: Sequence[str] = (),
    notes: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
    progress: Progress,
) -> RecordResult:
    """Record an attempt that is not measured, with the reason.

    Args:
        repo: the repository.
        state: the state of its iteration.
        commit: the commit with the change; the state commit without one.
        reason: a key of record.REASONS.
        violations: broken rules, such as 'changed: tests/test_x.py'.
        notes: remarks for the record.
        extra: as for `record`.
        progress: called with each progress message.

    Raises:
        PlannerError: E_NO_POLICY, E_POLICY, and what writing raises.
    """
    policy = policy_at(repo, state.base)
    subject = Subject(commit, state.branch, state, True, state.base, policy, state.plan, tuple(notes))
    details = ", ".join(f"'{violation.split(': ', 1)[-1]}'" for violation in violations[:3]) or next(
        (note.splitlines()[0] for note in notes if note), ""
    )
    progress(f"{state.branch}: {REASONS[reason]}")
    recorder = Recorder(repo, subject, progress, extra or {}, force=False, advance=False)
    candidate = replace(
        build_candidate(repo, subject, Refusal(reason, details)), violations=tuple(violations)
    )
    return recorder.refuse(candidate, summary=None if details else REASONS[reason])


def _uncommitted_note(repo: Repository, ref: str, progress: Progress) -> tuple[str, ...]:
    """Return a note if the commit is HEAD and the worktree has uncommitted changes, and tell it."""
    if repo.bare or (ref != "HEAD" and repo.maybe("HEAD") != repo.maybe(ref)):
        return ()
    paths = worktree.dirty_paths(repo)
    if not paths:
        return ()
    note = f"the worktree had {len(paths)} uncommitted changes, which were not measured"
    progress(f"{note}; commit them to have them measured")
    return (note,)
