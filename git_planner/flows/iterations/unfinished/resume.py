"""`git iterate resume`: continue an interrupted iteration from its state in git."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from git_planner.config.settings import read_settings
from git_planner.errors import DONE, PlannerError
from git_planner.flows.iterations import process_lock
from git_planner.flows.iterations.iterate import (
    CHOICE,
    IterateOptions,
    IterationResult,
    check_approval,
    interruptible,
    run_attempt,
)
from git_planner.flows.iterations.provenance import iteration_record
from git_planner.flows.iterations.unfinished.leftovers import (
    clear_attempt,
    end_attempt,
    is_managed,
    record_extra,
)
from git_planner.flows.planning.iteration_start import worktree_path
from git_planner.flows.planning.list_iterations import (
    PHASE_TEXTS,
    Iteration,
    find_iteration,
    is_task_iteration,
    list_iterations,
)
from git_planner.flows.records.record import record_commit, record_failure
from git_planner.flows.records.recorder import RecordResult
from git_planner.flows.runs import attempt_file
from git_planner.gitio import agent_worktree, history, worktree
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.planning.directive import IterationState
from git_planner.rules.records.record import Record
from git_planner.rules.records.row import REASONS

# The person who commits instead of an agent.
BY_HAND = "manual"


@dataclass(frozen=True, slots=True)
class ResumeResult:
    """Result of a resume: the phase found, the action taken, and the record if there is one."""

    number: int
    branch: str | None
    found: str
    did: str
    record: Record | None = None
    result: IterationResult | None = None
    exit: int = DONE

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/resumed@1",
            "iteration": self.number,
            "branch": self.branch,
            "found": self.found,
            "did": self.did,
            "record": self.record.document() if self.record else None,
        }


def resume_iteration(
    repo: Repository, number: int | None, options: IterateOptions, progress: Progress
) -> ResumeResult:
    """Continue one iteration.

    Args:
        repo: the repository.
        number: the iteration (default: the only unfinished one).
        options: implementer, model and effort, if it is implemented again.
        progress: called with each progress message.

    Raises:
        PlannerError: E_UNKNOWN_REF; E_USAGE when several are unfinished, or for the unfinished one of a
            task; E_BUSY while a process works on it; E_CHECKED_OUT when its branch is checked out where a
            person works; what iterating raises.
    """
    iteration = find_iteration(repo, number) if number is not None else _only_unfinished(repo)
    if iteration is None:
        return ResumeResult(0, None, "nothing", "there is no unfinished iteration")
    end_attempt(repo, iteration, progress)
    state = iteration.state
    if state is not None and options.implementer == BY_HAND and iteration.phase == "planned":
        return _take_commit(repo, iteration, state, options, progress)
    if state is None or iteration.phase == "recorded":
        return ResumeResult(
            iteration.number, iteration.branch, iteration.phase, _nothing_to_do(repo, iteration)
        )
    with interruptible(state):
        if iteration.phase == "committed":
            recorded = record_commit(
                repo,
                state.branch,
                plan=state.plan,
                approved=True,
                progress=progress,
                extra=_resumed(state),
                bench=options.bench,
            )
            return _recorded_result(iteration, "recorded the commit", recorded)
        if iteration.phase == "refused":
            return _recorded_result(
                iteration, "recorded the refusal", _record_refusal(repo, iteration, progress)
            )
        return _implement_again(repo, iteration, options, progress)


def _take_commit(
    repo: Repository,
    iteration: Iteration,
    state: IterationState,
    options: IterateOptions,
    progress: Progress,
) -> ResumeResult:
    """Record what a person has committed on the iteration's branch.

    Raises:
        PlannerError: E_NO_CHANGE without a commit; E_DIRTY if changes are not committed.
    """
    start, ref = iteration.start, refnames.HEADS + state.branch
    place = agent_worktree.at(iteration.worktree, repo) if iteration.worktree else None
    if place is not None and (changed := worktree.dirty_paths(place)):
        raise PlannerError(
            "E_DIRTY",
            f"'{iteration.worktree}' has uncommitted changes",
            hint="commit them there, then run this command again",
            details=changed[:20],
        )
    if start is not None and repo.maybe(ref) in (start, None):
        raise PlannerError(
            "E_NO_CHANGE",
            f"there is no commit on '{state.branch}' yet",
            hint=f"git switch {state.branch}, then commit the change there",
        )
    extra = record_extra(state)
    extra = {**extra, "agents": {**extra["agents"], "implementer": {"name": BY_HAND}}}
    with interruptible(state):
        recorded = record_commit(
            repo,
            state.branch,
            plan=state.plan,
            approved=True,
            progress=progress,
            extra=extra,
            bench=options.bench,
        )
    return _recorded_result(iteration, "recorded the commit that was made by hand", recorded)


def _only_unfinished(repo: Repository) -> Iteration | None:
    open_ones = [
        iteration
        for iteration in list_iterations(repo)
        if iteration.phase not in ("recorded", "reserved")
        and not is_task_iteration(iteration)
        and process_lock.lock_holder(repo, iteration.number) is None
    ]
    if len(open_ones) > 1:
        raise PlannerError(
            "E_USAGE",
            "several iterations are unfinished",
            hint="name one: 'git iterate resume N'",
            details=[
                f"{iteration.number}: {iteration.branch} ({PHASE_TEXTS[iteration.phase]})"
                for iteration in open_ones
            ],
        )
    return open_ones[0] if open_ones else None


def _nothing_to_do(repo: Repository, iteration: Iteration) -> str:
    if iteration.phase == "reserved":
        return "planning ended before there was a directive; 'git iterate' goes on with a new number"
    record = iteration_record(repo, iteration)
    assert record is not None
    return f"it is done: {record.summary or record.verdict}"


def _recorded_result(iteration: Iteration, did: str, recorded: RecordResult) -> ResumeResult:
    return ResumeResult(
        iteration.number, iteration.branch, iteration.phase, did, recorded.record, exit=recorded.exit
    )


def _record_refusal(repo: Repository, iteration: Iteration, progress: Progress) -> RecordResult:
    """Record a quarantined change whose process died before; its commit names the reason."""
    assert iteration.state is not None
    assert iteration.refused is not None
    reasons = history.trailers(repo.git, iteration.refused, "Planner-Reason")
    reason = reasons[0] if reasons and reasons[0] in REASONS else "implementer_failed"
    lines = history.message(repo.git, iteration.refused).split("\n\n")[1:-1]
    body = tuple(line for part in lines for line in part.splitlines())
    place = agent_worktree.find_detached(iteration.worktree, repo) if iteration.worktree else None
    if iteration.start is not None and (place is None or is_managed(repo, place)):
        clear_attempt(repo, iteration, place, progress)
    return record_failure(
        repo,
        iteration.state,
        iteration.refused,
        reason,
        violations=body if reason == "guard" else (),
        notes=("resumed after an interruption", *(() if reason == "guard" else body)),
        extra=_resumed(iteration.state),
        progress=progress,
    )


def _implement_again(
    repo: Repository, iteration: Iteration, options: IterateOptions, progress: Progress
) -> ResumeResult:
    """Clear the interrupted attempt and run the implementer again."""
    assert iteration.state is not None
    if iteration.start is None:
        raise PlannerError(
            "E_USAGE",
            f"iteration {iteration.number} was planned in another clone",
            hint="resume it there, or start a new one with 'git iterate'",
        )
    choice, report = attempt_file.load(repo, iteration.number)
    chosen: dict[str, Any] = {name: getattr(options, name) or choice.get(name) for name in CHOICE}
    options = replace(options, **chosen)
    place = agent_worktree.find_detached(iteration.worktree, repo) if iteration.worktree else None
    if place is not None and not is_managed(repo, place):
        raise PlannerError(
            "E_CHECKED_OUT",
            f"'{iteration.branch}' is checked out in '{place.top}', where a person works",
            hint=f"switch it to another branch there, then 'git iterate resume {iteration.number}'",
        )
    finished = _finished_place(repo, iteration, place) if report else None
    if finished is None:
        # What a person may have made there is left alone as long as nothing may run.
        check_approval(repo, iteration.state, iteration.start, progress)
        clear_attempt(repo, iteration, place, progress)
    else:
        options = replace(options, in_place=False)
    result = run_attempt(
        repo, iteration.state, iteration.start, options, progress, resumed=True, finished=finished
    )
    did = "implemented again" if finished is None else "committed the finished work"
    return ResumeResult(
        iteration.number, iteration.branch, iteration.phase, did, result.record, result, result.exit
    )


def _finished_place(repo: Repository, iteration: Iteration, place: Repository | None) -> Repository | None:
    """Return a worktree with the work of an implementer that has ended; None if it is gone."""
    assert iteration.state is not None
    assert iteration.start is not None
    if place is not None:
        return place
    kept = repo.maybe(f"{refnames.INTERRUPTED}{iteration.number:04d}")
    tip = repo.maybe(refnames.HEADS + iteration.state.branch)
    # The work of an attempt in a person's worktree was kept when that went back to its branch.
    if kept is None or tip is None or tip not in history.parents(repo.git, kept):
        return None
    path = worktree_path(read_settings(repo), repo, iteration.state)
    place = worktree.add(repo, path, iteration.state.branch)
    agent_worktree.checkout_tree(place, tip, kept, iteration.start)
    return place


def _resumed(state: IterationState) -> dict[str, Any]:
    return {**record_extra(state), "notes": ["resumed after an interruption"]}
