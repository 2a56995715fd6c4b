"""`git iterate resume`: go on with an iteration that was interrupted, from what git alone says about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner.agents.contract import Tell
from git_planner.config.settings import read_settings
from git_planner.errors import DONE, PlannerError
from git_planner.flows.iterations import process_lock
from git_planner.flows.iterations.iterate import IterateOptions, IterationResult, interruptible, run_attempt
from git_planner.flows.iterations.list_iterations import (
    PHASE_TEXTS,
    Iteration,
    find_iteration,
    is_task_iteration,
    list_iterations,
)
from git_planner.flows.iterations.provenance import iteration_record
from git_planner.flows.records.record import record_commit, record_failure
from git_planner.flows.records.recorder import RecordResult
from git_planner.gitio import agent_worktree, history, worktree
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.planning.directive import IterationState
from git_planner.rules.records.record import REASONS, Record


@dataclass(frozen=True, slots=True)
class ResumeResult:
    """What became of an iteration: where it stood, what was done about it, and its record if there is one."""

    number: int
    branch: str | None
    found: str
    did: str
    record: Record | None = None
    result: IterationResult | None = None
    exit: int = DONE

    def document(self) -> dict[str, Any]:
        """The result as one JSON document."""
        return {
            "schema": "git-planner/resumed@1",
            "iteration": self.number,
            "branch": self.branch,
            "found": self.found,
            "did": self.did,
            "record": self.record.document() if self.record else None,
        }


def resume_iteration(
    repo: Repository, number: int | None, options: IterateOptions, tell: Tell
) -> ResumeResult:
    """Go on with one iteration.

    Args:
        repo: the repository.
        number: which; the only unfinished one when None.
        options: implementer, its model and effort, for an iteration that is to be implemented again.
        tell: progress.

    Raises:
        PlannerError: E_UNKNOWN_REF; E_USAGE when several could be meant; E_BUSY while a process works on it;
            E_CHECKED_OUT when its branch is checked out where a person works; what iterating raises.
    """
    found = find_iteration(repo, number) if number is not None else _only(repo)
    if found is None:
        return ResumeResult(0, None, "nothing", "there is no unfinished iteration")
    owner = process_lock.lock_holder(repo, found.number)
    if owner is not None:
        raise PlannerError(
            "E_BUSY",
            f"process {owner} works on iteration {found.number}",
            hint="wait for it, or end it with Ctrl-C where it runs",
        )
    ended = process_lock.end_leftover_agents(repo, found.number)
    if ended:
        tell(f"ended what was left of the agent: {', '.join(map(str, ended))}")
    state = found.state
    if state is None or found.phase == "recorded":
        return ResumeResult(found.number, found.branch, found.phase, _nothing_to_do(repo, found))
    with interruptible(state):
        if found.phase == "committed":
            recorded = record_commit(repo, state.branch, plan=state.plan, tell=tell, extra=_extra(state))
            return _done(found, "recorded the commit", recorded)
        if found.phase == "refused":
            return _done(found, "recorded the refusal", _record_refusal(repo, found, tell))
        return _again(repo, found, options, tell)


def _only(repo: Repository) -> Iteration | None:
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


def _nothing_to_do(repo: Repository, found: Iteration) -> str:
    if found.phase == "reserved":
        return "planning ended before there was a directive; 'git iterate' goes on with a new number"
    done = iteration_record(repo, found)
    assert done is not None
    return f"it is done: {done.summary or done.verdict}"


def _done(found: Iteration, did: str, recorded: RecordResult) -> ResumeResult:
    return ResumeResult(found.number, found.branch, found.phase, did, recorded.record, exit=recorded.exit)


def _record_refusal(repo: Repository, found: Iteration, tell: Tell) -> RecordResult:
    """Record what was set aside before its process died; the commit says why it was."""
    assert found.state is not None
    assert found.refused is not None
    said = history.trailers(repo.git, found.refused, "Planner-Reason")
    reason = said[0] if said and said[0] in REASONS else "implementer_failed"
    lines = history.message(repo.git, found.refused).split("\n\n")[1:-1]
    body = tuple(line for part in lines for line in part.splitlines())
    place = agent_worktree.left_at(found.worktree, repo) if found.worktree else None
    if found.start is not None and (place is None or _ours(repo, place)):
        _clear(repo, found, place, tell)
    return record_failure(
        repo,
        found.state,
        found.refused,
        reason,
        violations=body if reason == "guard" else (),
        notes=("resumed after an interruption", *(() if reason == "guard" else body)),
        extra=_extra(found.state),
        tell=tell,
    )


def _again(repo: Repository, found: Iteration, options: IterateOptions, tell: Tell) -> ResumeResult:
    """Clear what the interrupted attempt left, and let the implementer work once more."""
    assert found.state is not None
    if found.start is None:
        raise PlannerError(
            "E_USAGE",
            f"iteration {found.number} was planned in another clone",
            hint="resume it there, or start a new one with 'git iterate'",
        )
    place = agent_worktree.left_at(found.worktree, repo) if found.worktree else None
    if place is not None and not _ours(repo, place):
        raise PlannerError(
            "E_CHECKED_OUT",
            f"'{found.branch}' is checked out in '{place.top}', where a person works",
            hint=f"switch it to another branch there, then 'git iterate resume {found.number}'",
        )
    _clear(repo, found, place, tell)
    result = run_attempt(repo, found.state, found.start, options, tell, resumed=True)
    did = "carried out again"
    return ResumeResult(found.number, found.branch, found.phase, did, result.record, result, result.exit)


def _clear(repo: Repository, found: Iteration, place: Repository | None, tell: Tell) -> None:
    """Keep what an interrupted attempt had done, then take its worktree away and put its branch back."""
    assert found.start is not None
    assert found.branch is not None
    ref, rescue = refnames.HEADS + found.branch, f"{refnames.INTERRUPTED}{found.number:04d}"
    tip = repo.maybe(ref) or found.start
    if place is not None and place.top is not None:
        agent_worktree.mend(place, ours=True)
        tree = agent_worktree.content(place, found.start)
    else:
        tree = repo.resolve(tip, "tree")
    if found.refused is None and (tip != found.start or tree != repo.resolve(found.start, "tree")):
        message = f"{found.branch}: what an interrupted attempt had done\n"
        agent_worktree.keep(repo, rescue, tree, tip, message)
        tell(f"kept what the interrupted attempt had done as '{rescue}'")
    if place is not None and place.top is not None:
        worktree.remove(repo, place.top)
    folder = read_settings(repo).worktrees
    for linked in worktree.listing(repo):
        # One whose folder is gone would keep its branch from being checked out again.
        if linked.branch == ref and is_managed_worktree(folder, linked.path) and not linked.path.exists():
            worktree.remove(repo, linked.path)
    agent_worktree.put_branch(repo, ref, found.start)


def _ours(repo: Repository, place: Repository) -> bool:
    return place.top is not None and is_managed_worktree(read_settings(repo).worktrees, place.top)


def is_managed_worktree(folder: Path, path: Path) -> bool:
    """Whether a worktree lies directly in the folder that our worktrees are made in."""
    return path.resolve().parent == folder.resolve()


def _extra(state: IterationState) -> dict[str, Any]:
    planned = dict(state.planner.get("usage") or {"input": 0, "output": 0})
    return {
        "agents": {"planner": {"name": state.planner["name"], "model": state.planner["model"]}},
        "usage": {"planner_input": planned["input"], "planner_output": planned["output"]},
        "seconds": {"plan": state.planner["seconds"]},
        "notes": ["resumed after an interruption"],
    }
