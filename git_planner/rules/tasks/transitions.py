"""Task transitions: the table of allowed status changes, and the functions that apply them. Pure.

Commands, hooks, runs and merges all refuse a status that is not in the table.
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
# Status -> allowed next statuses. 'todo' always goes through `requeue_task`; 'done' requires evidence.
TRANSITIONS: Mapping[TaskStatus, tuple[TaskStatus, ...]] = {
    "todo": ("in_progress", "agent_done", "review_ready", "done", *_OUT),
    "in_progress": ("todo", "needs_input", "agent_done", "review_ready", "done", *_OUT),
    "blocked": ("todo", "agent_done", "review_ready", "done", "deferred", "cancelled"),
    "needs_input": ("todo", "agent_done", *_OUT),
    "agent_done": ("todo", "needs_input", "review_ready", "done", *_OUT),
    "review_ready": ("todo", "needs_input", "agent_done", "done", *_OUT),
    # Back to 'agent_done' when the verified tree is no longer the task's tree.
    "done": ("todo", "agent_done"),
    "deferred": ("todo", "cancelled"),
    "cancelled": ("todo",),
}
# Statuses in which a task keeps its owner.
_OWNED: frozenset[TaskStatus] = frozenset(("in_progress", "needs_input", "agent_done", "review_ready"))


def parse_status(name: str) -> TaskStatus:
    """Parse the name of a status.

    Raises:
        PlannerError: E_USAGE for an unknown name.
    """
    for status in STATUSES:
        if name == status:
            return status
    raise PlannerError(
        "E_USAGE", f"{name[:80]!r} is not a task status", hint=f"statuses: {', '.join(STATUSES)}"
    )


def move_task(task: Task, status: TaskStatus, *, reason: str | None = None) -> Task:
    """Move a task to a status; if it has that status already, change only the reason.

    Args:
        task: the task.
        status: the new status. 'todo' requeues the task, see `requeue_task`.
        reason: why; the reason of the previous status is dropped.

    Raises:
        PlannerError: E_TRANSITION for a transition that is not in the table; E_EVIDENCE for 'done' without
            evidence.
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
            f"'{task.id}' cannot be done: attempt {task.attempt} has no passing evidence",
            hint=f"run its verify commands with 'git plan task verify {task.id}'",
        )
    return task._replace(status=status, reason=reason, owner=task.owner if status in _OWNED else None)


def requeue_task(task: Task, reason: str | None = None) -> Task:
    """Requeue a task as a new attempt; results and evidence of earlier attempts no longer count.

    Raises:
        PlannerError: E_TRANSITION if it is todo already.
    """
    if task.status == "todo":
        raise PlannerError(
            "E_TRANSITION",
            f"'{task.id}' is todo already",
            hint=f"start it with 'git plan task claim {task.id}'",
        )
    return task._replace(
        status="todo", reason=reason, owner=None, run=None, branch=None, attempt=task.attempt + 1
    )


def start_task(task: Task, owner: str, *, run: str | None, base: str | None, branch: str | None) -> Task:
    """Move a claimed task to in_progress.

    Raises:
        PlannerError: E_TRANSITION.
    """
    return move_task(task, "in_progress")._replace(owner=owner, run=run, base=base, branch=branch)


def ask_question(task: Task, question: TaskQuestion) -> Task:
    """Add an agent's question to a task and move it to needs_input.

    Raises:
        PlannerError: E_TRANSITION.
    """
    return move_task(task, "needs_input", reason=question.summary)._replace(inputs=(*task.inputs, question))


def answer_question(task: Task, answer: QuestionAnswer) -> Task:
    """Answer the last open question of a task. The task keeps its status until it is resumed.

    Raises:
        PlannerError: E_TRANSITION if no question is open.
    """
    question = task.open_question
    if question is None:
        raise PlannerError(
            "E_TRANSITION",
            f"'{task.id}' has no open question",
            hint=f"see 'git plan task show {task.id}'",
        )
    answered = question._replace(answer=answer)
    return task._replace(inputs=tuple(answered if item is question else item for item in task.inputs))


def add_evidence(task: Task, evidence: TaskEvidence) -> Task:
    """Add evidence for the present attempt of a task; the status does not change."""
    return task._replace(evidence=(*task.evidence, evidence._replace(attempt=task.attempt)))


# Fields that follow from the history; all others are written by people and planners.
_FOLLOWED = frozenset(("status", "reason", "owner", "attempt", "run", "branch", "commits"))
_OID = r"[0-9a-f]{40}(?:[0-9a-f]{24})?"


def check_followed_task(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Check that only fields that follow from the Git history have changed in a task's document.

    The document before is valid, and loading a schema validator would take longer than the commit itself.

    Raises:
        PlannerError: E_SCHEMA.
    """
    wrong = [name for name in after if name not in _FOLLOWED and after[name] != before.get(name)]
    if after["status"] not in STATUSES:
        wrong.append("status")
    if not 1 <= after["attempt"] <= 1_000_000:
        wrong.append("attempt")
    if len(after["reason"] or "") > 20_000:
        wrong.append("reason")
    # These may only be cleared.
    wrong += [name for name in ("owner", "run", "branch") if after[name] not in (None, before[name])]
    if len(after["commits"]) > 10_000 or not all(re.fullmatch(_OID, oid) for oid in after["commits"]):
        wrong.append("commits")
    if wrong or before.keys() != after.keys():
        raise PlannerError(
            "E_SCHEMA",
            f"'{before['id']}' cannot be written: {', '.join(wrong) or 'its fields'}",
            hint="see the schema with 'git planner schema plan'",
        )
