"""Collect what waits for a person in a repository: questions, reviews, refused work, dead runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from git_planner.errors import PlannerError
from git_planner.flows.board.review_items import review_items
from git_planner.flows.board.sessions import session_store
from git_planner.flows.board.sessions.session_store import HostSession
from git_planner.flows.iterations.process_lock import lock_holder
from git_planner.flows.planning.list_iterations import Iteration, is_task_iteration, list_iterations
from git_planner.flows.plans.lost_plans import find_lost_plans
from git_planner.flows.runs import store
from git_planner.flows.runs.heartbeat import check_liveness, last_heartbeat
from git_planner.flows.runs.store import Run
from git_planner.flows.tasks.edit import read_tasks
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.board.inbox import InboxItem, Kind, sort_items, task_item
from git_planner.rules.plans import plan as plans
from git_planner.rules.tasks.task import Task
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
    times = branch_times(repo)
    names = [name for ref in times if plans.is_plan_name(name := _plan_name(ref))]
    if plan is not None:
        names = [read_tasks(repo, plan).plan]
    runs = store.list_runs(repo)
    ended = ended_times(runs)
    items: list[InboxItem] = []
    for name in names:
        changed = times.get(refnames.plan_ref(name), "")
        try:
            items += task_items(name, read_tasks(repo, name).tasks, ended, changed)
        except PlannerError as error:
            items += unreadable_items(name, error, changed)
    items += run_items(repo, [run for run in runs if plan in (None, run.plan)])
    items += session_items(session_store.host_sessions(repo), plan)
    items += branch_items(repo, plan, times)
    return Inbox(tuple(sort_items(items)))


def ended_times(runs: Iterable[Run]) -> dict[tuple[str, str], str]:
    """Return when the last run of a task ended, by plan and task."""
    return {(run.plan, run.task): run.ended_at for run in runs if run.ended_at is not None}


def task_items(
    plan: str, tasks: Iterable[Task], ended: Mapping[tuple[str, str], str], changed: str
) -> Iterator[InboxItem]:
    """Yield the tasks of a plan that wait; a run knows best since when a task is blocked.

    Args:
        plan: the plan's name.
        tasks: its tasks.
        ended: see `ended_times`.
        changed: the time of the last change of the plan.
    """
    for task in tasks:
        item = task_item(plan, task, ended.get((plan, task.id), changed))
        if item is not None:
            yield item


def unreadable_items(plan: str, error: PlannerError, changed: str) -> Iterator[InboxItem]:
    """Yield the item for a plan whose tasks cannot be read; none for a branch with records alone."""
    if error.code != "E_NO_PLAN":
        text = f"it cannot be read: {error.message}"
        yield InboxItem("plan", changed, plan, refnames.PLAN + plan, text, f"git plan lint --plan {plan}")


def branch_items(repo: Repository, plan: str | None, times: dict[str, str]) -> Iterator[InboxItem]:
    """Yield iterations and reviews that wait; unless a plan is named, packets, proposals, lost plans, too."""
    iterations = list_iterations(repo, plan)
    reviews = list(review_items(repo, plan, iterations, times))
    reviewed = {item.subject for item in reviews}
    # One that waits for its approval was not interrupted.
    yield from (item for item in _of_iterations(repo, iterations, times) if item.subject not in reviewed)
    yield from reviews
    if plan is None:
        yield from _of_branches(repo, times)


def run_items(
    repo: Repository, runs: Iterable[Run], liveness: Mapping[str, str] | None = None
) -> Iterator[InboxItem]:
    """Yield the runs whose delegator is gone or has stopped.

    Args:
        repo: the repository.
        runs: the runs.
        liveness: see `check_liveness`, by run, where it was checked already.
    """
    for run in runs:
        verdict = (liveness or {}).get(run.run) or check_liveness(repo, run)
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


def session_items(sessions: Iterable[HostSession], plan: str | None) -> Iterator[InboxItem]:
    """Yield the sessions whose client waits for an answer in its terminal."""
    for session in sessions:
        about = session.session
        if session.asks and plan in (None, about.plan):
            text = f"{about.client} waits for an answer in its terminal"
            command = f"git plan session attach {about.name} --plan {about.plan}"
            yield InboxItem("question", session.asking_since or "", about.plan, about.name, text, command)


def _of_iterations(
    repo: Repository, iterations: Iterable[Iteration], times: dict[str, str]
) -> Iterator[InboxItem]:
    """Yield the iterations that were interrupted, or whose work was refused and is not recorded yet."""
    for iteration in iterations:
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


def _is_applied(repo: Repository, ref: str) -> bool:
    """Return whether the answer on a packet's branch has become an iteration, as its last commit says."""
    answer = repo.git.read_object("contents", ref)
    return answer is not None and b"\nPlanner-Op: manual-apply\n" in bytes(answer[3])


def _of_branches(repo: Repository, times: dict[str, str]) -> Iterator[InboxItem]:
    """Yield packets that wait for an answer, proposals of the guard, and plans whose branch is gone."""
    for ref, since in times.items():
        branch = refnames.short_name(ref)
        if plans.packet_slug(branch):
            if _is_applied(repo, ref):
                continue
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


def branch_times(repo: Repository) -> dict[str, str]:
    """Return the branches of plans, iterations and reviews with the time of their last commit."""
    names = (refnames.PLAN, refnames.ITER, refnames.REVIEW)
    prefixes = [refnames.HEADS + name for name in names]
    listed = history.list_ref_fields(repo, ("committerdate:unix",), prefixes)
    return {ref: format_time(int(time or 0)) for ref, (time,) in listed.items()}


def _plan_name(ref: str) -> str:
    return refnames.short_name(ref).removeprefix(refnames.PLAN)
