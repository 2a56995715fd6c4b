"""What an agent says of its work on a task, and what becomes of the task when a run has ended. Pure.

The one table of outcomes is OUTCOMES; `decided` picks from it, and docs/delegation.md shows it to people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from git_planner.rules.tasks.task import TaskStatus

SCHEMA = "git-planner/result@1"
ResultStatus = Literal["done", "partial", "failed", "blocked", "needs_input"]
RESULT_STATUSES: tuple[ResultStatus, ...] = get_args(ResultStatus)
# How a run can end: by itself, badly, at its deadline, by Ctrl-C, or with its delegator gone.
RunEnd = Literal["ended", "failed", "deadline", "interrupted", "lost"]
# outcome -> what the task becomes, and when that is.
OUTCOMES: Mapping[str, tuple[TaskStatus, str]] = {
    "done": ("agent_done", "it said 'done' and did not fail; or it cannot say anything and ended well"),
    "partial": ("blocked", "it said that a part is done"),
    "failed": ("blocked", "it said that it failed"),
    "blocked": ("blocked", "it said what keeps it from going on"),
    "needs_input": ("needs_input", "it asked a question"),
    "no_result": ("blocked", "it ended well without saying how"),
    "bad_result": ("blocked", "what it left as its result cannot be used"),
    "agent_failed": ("blocked", "it ended with a failure, and with no result or with 'done'"),
    "deadline": ("blocked", "its time ran out, with no result or with 'done'; all its processes were ended"),
    "refused": ("blocked", "it said 'done' and had changed guarded paths, or what is out of its scope"),
    "commit_refused": ("blocked", "it said 'done' and a hook of the repository refused the commit"),
    "interrupted": ("todo", "a person interrupted the delegator before there was a result"),
    "lost": ("todo", "the delegator died, or the machine was restarted, before there was a result"),
    "not_started": ("todo", "it cannot work here at all: no such program, no login, nothing left to spend"),
}


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What an agent says, field for field as in its document; bound to one attempt of one task in one run."""

    plan: str
    task: str
    uid: str
    attempt: int
    run: str
    status: ResultStatus
    summary: str
    details: tuple[str, ...]
    next: str | None
    question: str | None
    at: str

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"schema": SCHEMA, **fields, "details": list(self.details)}

    @property
    def words(self) -> dict[str, Any]:
        """All of it but the time: two results with the same words are the same."""
        return {key: value for key, value in self.document().items() if key != "at"}


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What becomes of a task. `take`: what lies in the worktree becomes a commit of its branch."""

    outcome: str
    reason: str | None = None
    take: bool = False

    @property
    def status(self) -> TaskStatus:
        """What the task becomes."""
        return OUTCOMES[self.outcome][0]


def result_from(document: Mapping[str, Any]) -> TaskResult:
    """Read a result from a document that has passed its schema."""
    fields = {key: value for key, value in document.items() if key != "schema"}
    return TaskResult(**{**fields, "details": tuple(fields["details"])})


def decide_outcome(
    how: RunEnd, said: str, result: TaskResult | None, unusable: str | None, *, reports: bool
) -> TaskOutcome:
    """What becomes of a task whose run has ended.

    Args:
        how: how it ended.
        said: the agent's last words, or why it ended, in a line.
        result: the result it left for this very attempt.
        unusable: why what it left is no result.
        reports: whether the agent can leave a result; else it does not have to.
    """
    if unusable is not None:
        return TaskOutcome("bad_result", f"its result cannot be used: {unusable}")
    if result is not None and result.status != "done":
        return TaskOutcome(result.status, f"{result.status}: {result.summary}")
    if how in ("failed", "deadline"):
        return TaskOutcome("agent_failed" if how == "failed" else how, said)
    if result is not None or (how == "ended" and not reports):
        return TaskOutcome("done", None, take=True)
    if how == "ended":
        return TaskOutcome("no_result", "it ended without a result")
    return TaskOutcome(how, said)
