"""What may become of a task: the one table of transitions, and the moves along it. Pure.

A status that is not in the table is refused everywhere: by commands, hooks, runs and merges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules.tasks.task import (
    STATUSES,
    QuestionAnswer,
    Task,
    TaskEvidence,
    TaskQuestion,
    TaskStatus,
)

_OUT: tuple[TaskStatus, ...] = ("blocked", "deferred", "cancelled")
# status -> what it may become. 'todo' is always by `put_back`, 'done' always with evidence.
TRANSITIONS: Mapping[TaskStatus, tuple[TaskStatus, ...]] = {
    "todo": ("in_progress", "agent_done", "review_ready", "done", *_OUT),
    "in_progress": ("todo", "needs_input", "agent_done", "review_ready", "done", *_OUT),
    "blocked": ("todo", "agent_done", "review_ready", "done", "deferred", "cancelled"),
    "needs_input": ("todo", "agent_done", *_OUT),
    "agent_done": ("todo", "needs_input", "review_ready", "done", *_OUT),
    "review_ready": ("todo", "needs_input", "agent_done", "done", *_OUT),
    # Back to 'agent_done' when what was verified is no longer what is there.
    "done": ("todo", "agent_done"),
    "deferred": ("todo", "cancelled"),
    "cancelled": ("todo",),
}
# Who works on a task, if anybody, is known only while it is in one of these.
_OWNED: frozenset[TaskStatus] = frozenset(("in_progress", "needs_input", "agent_done", "review_ready"))


def parse_status(name: str) -> TaskStatus:
    """A status by its name.

    Raises:
        PlannerError: E_USAGE for a name that is not in the table.
    """
    for status in STATUSES:
        if name == status:
            return status
    raise PlannerError(
        "E_USAGE", f"{name[:80]!r} is no status of a task", hint=f"statuses: {', '.join(STATUSES)}"
    )


def move_task(task: Task, status: TaskStatus, *, reason: str | None = None) -> Task:
    """A task in another status; in the same one only the reason may change.

    Args:
        task: the task as it is.
        status: what it becomes. 'todo' puts it back to work, see `put_back`.
        reason: why, in words; the earlier reason does not outlive its status.

    Raises:
        PlannerError: E_TRANSITION for what the table does not have; E_EVIDENCE for 'done' without any.
    """
    if status == task.status:
        return task._replace(reason=reason if reason is not None else task.reason)
    if status not in TRANSITIONS[task.status]:
        allowed = ", ".join(TRANSITIONS[task.status])
        raise PlannerError(
            "E_TRANSITION",
            f"'{task.id}' is {task.status} and cannot become {status}",
            hint=f"it may become: {allowed}",
        )
    if status == "todo":
        return requeue_task(task, reason)
    if status == "done" and not task.proven:
        raise PlannerError(
            "E_EVIDENCE",
            f"'{task.id}' cannot be done: nothing shows that its attempt {task.attempt} is",
            hint=f"run its verify commands with 'git plan task verify {task.id}'",
        )
    return task._replace(status=status, reason=reason, owner=task.owner if status in _OWNED else None)


def requeue_task(task: Task, reason: str | None = None) -> Task:
    """A task back at the start of a new attempt: results and evidence of the earlier ones no longer count.

    Raises:
        PlannerError: E_TRANSITION when it waits to be begun anyway.
    """
    if task.status == "todo":
        raise PlannerError(
            "E_TRANSITION",
            f"'{task.id}' is todo already",
            hint=f"begin it with 'git plan task claim {task.id}'",
        )
    return task._replace(
        status="todo", reason=reason, owner=None, run=None, branch=None, attempt=task.attempt + 1
    )


def start_task(task: Task, owner: str, *, run: str | None, base: str | None, branch: str | None) -> Task:
    """A task that somebody has claimed.

    Raises:
        PlannerError: E_TRANSITION.
    """
    return move_task(task, "in_progress")._replace(owner=owner, run=run, base=base, branch=branch)


def ask_question(task: Task, question: TaskQuestion) -> Task:
    """A task whose agent needs an answer.

    Raises:
        PlannerError: E_TRANSITION.
    """
    return move_task(task, "needs_input", reason=question.summary)._replace(inputs=(*task.inputs, question))


def answer_question(task: Task, reply: QuestionAnswer) -> Task:
    """A task whose last open question has its answer. It goes on waiting until it is resumed.

    Raises:
        PlannerError: E_TRANSITION when no question is open.
    """
    question = task.open_question
    if question is None:
        raise PlannerError(
            "E_TRANSITION",
            f"'{task.id}' has no open question",
            hint=f"see 'git plan task show {task.id}'",
        )
    inputs = tuple(each._replace(answer=reply) if each is question else each for each in task.inputs)
    return task._replace(inputs=inputs)


def add_evidence(task: Task, evidence: TaskEvidence) -> Task:
    """A task with further evidence of its present attempt; its status stays."""
    return task._replace(evidence=(*task.evidence, evidence._replace(attempt=task.attempt)))


# What follows from commits, runs and evidence; all else of a task is what people and planners wrote.
_FOLLOWS = frozenset(("status", "reason", "owner", "attempt", "run", "branch", "commits"))
_OID = r"[0-9a-f]{40}(?:[0-9a-f]{24})?"


def check_followed_task(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Judge the document of a task that was moved by what git holds: only what may follow from that changed.

    What it was before has passed its schema, and loading what judges by schemas takes longer than a commit.

    Raises:
        PlannerError: E_SCHEMA.
    """
    wrong = [name for name in after if name not in _FOLLOWS and after[name] != before.get(name)]
    if after["status"] not in STATUSES:
        wrong.append("status")
    if not 1 <= after["attempt"] <= 1_000_000:
        wrong.append("attempt")
    if len(after["reason"] or "") > 20_000:
        wrong.append("reason")
    # Whose task it is and where is only ever taken away.
    wrong += [name for name in ("owner", "run", "branch") if after[name] not in (None, before[name])]
    if len(after["commits"]) > 10_000 or not all(re.fullmatch(_OID, each) for each in after["commits"]):
        wrong.append("commits")
    if wrong or before.keys() != after.keys():
        raise PlannerError(
            "E_SCHEMA",
            f"'{before['id']}' cannot be written as it is: {', '.join(wrong) or 'its fields'}",
            hint="see the schema with 'git planner schema plan'",
        )
