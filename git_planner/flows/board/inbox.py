"""Collect what waits for a person in a repository: questions, reviews, refused work, dead runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner.errors import PlannerError
from git_planner.flows.iterations.process_lock import lock_holder
from git_planner.flows.planning.list_iterations import Iteration, is_task_iteration, list_iterations
from git_planner.flows.plans.lost_plans import find_lost_plans
from git_planner.flows.runs import store
from git_planner.flows.runs.heartbeat import check_liveness, last_heartbeat
from git_planner.flows.tasks.edit import read_tasks
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.board.inbox import InboxItem, Kind, sort_items, task_item
from git_planner.rules.plans import plan as plans
from git_planner.rules.timestamps import format_time


@dataclass(frozen=True, slots=True)
class Inbox:
    """Items that wait for a person, the oldest first."""

    items: tuple[InboxItem, ...]

    def document(self) -> dict[str, Any]:
        """Return the inbox as one JSON document."""
        return {"schema": "git-planner/inbox@1", "items": [item.document() for item in self.items]}


def read_inbox(repo: Repository, plan: str | None = None) -> Inbox:
    """Collect what waits for a person.

    Args:
        repo: the repository.
        plan: only what belongs to this plan; everything when None.

    Raises:
        PlannerError: E_NO_PLAN for a plan that does not exist.
    """
    times = _branch_times(repo)
    names = [name for ref in times if plans.is_plan_name(name := _plan_name(ref))]
    if plan is not None:
        names = [read_tasks(repo, plan).plan]
    items = [
        *_of_tasks(repo, names, times),
        *_of_runs(repo, plan),
        *_of_iterations(repo, plan, times),
        *(() if plan is not None else _of_branches(repo, times)),
    ]
    return Inbox(tuple(sort_items(items)))


def _of_tasks(repo: Repository, names: Sequence[str], times: dict[str, str]) -> Iterator[InboxItem]:
    """Yield the tasks that wait; a run knows best since when a task is blocked."""
    ended = {(run.plan, run.task): run.ended_at for run in store.list_runs(repo) if run.ended_at is not None}
    for name in names:
        changed = times.get(refnames.plan_ref(name), "")
        try:
            tasks = read_tasks(repo, name).tasks
        except PlannerError as error:
            if error.code == "E_NO_PLAN":
                continue
            text = f"it cannot be read: {error.message}"
            yield InboxItem("plan", changed, name, refnames.PLAN + name, text, f"git plan lint --plan {name}")
            continue
        for task in tasks:
            item = task_item(name, task, ended.get((name, task.id), changed))
            if item is not None:
                yield item


def _of_runs(repo: Repository, plan: str | None) -> Iterator[InboxItem]:
    """Yield the runs whose delegator is gone or has stopped."""
    for run in store.list_runs(repo, plan):
        verdict = check_liveness(repo, run) if run.ended_at is None else "ended"
        if verdict == "suspended" and run.suspended_at is not None:
            text = f"the session on {run.task} is suspended"
            yield InboxItem("run", run.suspended_at, run.plan, run.run, text, "git plan resume")
        if verdict in ("dead", "stalled"):
            since = last_heartbeat(repo, run) or run.started_at
            text = (
                f"the delegator of {run.task} is gone"
                if verdict == "dead"
                else f"the delegator of {run.task} no longer sends heartbeats"
            )
            rerun = " --rerun" if verdict == "dead" else ""
            command = f"git plan runs --end --run {run.run}{rerun}"
            yield InboxItem("run", since, run.plan, run.run, text, command)


def _of_iterations(repo: Repository, plan: str | None, times: dict[str, str]) -> Iterator[InboxItem]:
    """Yield the iterations that were interrupted, or whose work was refused and is not recorded yet."""
    for iteration in list_iterations(repo, plan):
        if iteration.state is None or iteration.phase == "recorded" or is_task_iteration(iteration):
            continue
        if lock_holder(repo, iteration.number) is None:
            yield _iteration_item(iteration, times)


def _iteration_item(iteration: Iteration, times: dict[str, str]) -> InboxItem:
    assert iteration.state is not None
    branch = iteration.state.branch
    kind: Kind = "refused" if iteration.phase == "refused" else "iteration"
    text = "it was interrupted"
    if kind == "refused":
        text = "its work was refused and is kept; it is not recorded yet"
    since = times.get(refnames.HEADS + branch, "")
    command = f"git iterate resume {iteration.number}"
    return InboxItem(kind, since, iteration.state.plan, branch, text, command)


def _of_branches(repo: Repository, times: dict[str, str]) -> Iterator[InboxItem]:
    """Yield packets that wait for an answer, proposals of the guard, and plans whose branch is gone."""
    for ref, since in times.items():
        branch = refnames.short_name(ref)
        if plans.packet_slug(branch):
            text = "its prompt waits for an answer"
            yield InboxItem("packet", since, None, branch, text, f"git plan manual apply --from {branch}")
        elif branch.startswith(refnames.PROPOSALS) and not _is_merged(repo, ref):
            text = "it proposes a change of guarded files"
            yield InboxItem("proposal", since, None, branch, text, f"git log -p -1 {branch}")
    for lost in find_lost_plans(repo):
        target = lost.target or ""
        yield InboxItem(
            "lost", "", _plan_name(target), target, lost.message, lost.fix or "git planner doctor"
        )


def _is_merged(repo: Repository, ref: str) -> bool:
    head = repo.maybe("HEAD")
    return head is not None and history.is_ancestor(repo.git, ref, head)


def _branch_times(repo: Repository) -> dict[str, str]:
    """Return the branches of plans and iterations with the time of their last commit."""
    prefixes = [refnames.HEADS + refnames.PLAN, refnames.HEADS + refnames.ITER]
    listed = history.list_ref_fields(repo, ("committerdate:unix",), prefixes)
    return {ref: format_time(int(time or 0)) for ref, (time,) in listed.items()}


def _plan_name(ref: str) -> str:
    return refnames.short_name(ref).removeprefix(refnames.PLAN)
