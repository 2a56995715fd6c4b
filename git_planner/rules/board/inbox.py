"""Inbox: what waits for a person, with the command that answers it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from git_planner.rules.tasks.task import Task

Kind = Literal[
    "question",
    "review",
    "blocked",
    "run",
    "refused",
    "iteration",
    "packet",
    "proposal",
    "lost",
    "plan",
]


@dataclass(frozen=True, slots=True)
class InboxItem:
    """One thing that waits for a person.

    `since` is a UTC time, empty where it is unknown; `subject` names the task, run, iteration or branch,
    `text` says what is to be decided, and `command` answers it.
    """

    kind: Kind
    since: str
    plan: str | None
    subject: str
    text: str
    command: str

    def document(self) -> dict[str, Any]:
        """Return the item as a JSON object."""
        return asdict(self)


def sort_items(items: Iterable[InboxItem]) -> list[InboxItem]:
    """Sort items, the oldest first."""
    return sorted(items, key=lambda item: (item.since, item.plan or "", item.subject))


def task_item(plan: str, task: Task, fallback: str) -> InboxItem | None:
    """Return what a task waits for a person with; None if it waits for nobody.

    Args:
        plan: the name of its plan.
        task: the task.
        fallback: the time of the last change of the plan, for what has no time of its own.
    """
    target = f"{task.id} --plan {plan}"
    if task.status == "needs_input":
        question = task.open_question
        if question is not None:
            text = " ".join([question.summary, *question.details])
            command = f"git plan task answer {task.id} TEXT --plan {plan}"
            return InboxItem("question", question.at, plan, task.id, text, command)
        answers = [asked.answer.at for asked in task.inputs if asked.answer is not None]
        text = "it is answered and not resumed yet"
        since = max(answers, default=fallback)
        return InboxItem("question", since, plan, task.id, text, f"git plan task resume {target}")
    if task.status in ("agent_done", "review_ready"):
        text = f"'{task.title}' waits for a review"
        if task.evidence and task.evidence[-1].attempt == task.attempt and not task.evidence[-1].ok:
            text = f"'{task.title}' failed its verify commands"
        since = task.evidence[-1].at if task.evidence else fallback
        return InboxItem("review", since, plan, task.id, text, f"git plan task verify {target}")
    if task.status == "blocked":
        text = task.reason or f"'{task.title}' is blocked"
        return InboxItem("blocked", fallback, plan, task.id, text, f"git plan task resume {target}")
    return None
