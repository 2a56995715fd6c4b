"""The result that an agent reports for a task, and the outcome of a run for its task. Pure.

OUTCOMES is the table of outcomes; `decide_outcome` picks from it, and docs/delegation.md documents it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from git_planner.rules.tasks.task import TaskStatus

SCHEMA = "git-planner/result@1"
ResultStatus = Literal["done", "partial", "failed", "blocked", "needs_input"]
RESULT_STATUSES: tuple[ResultStatus, ...] = get_args(ResultStatus)
# How a run ends: normally, with a failure, at its deadline, by Ctrl-C, or because its delegator died.
RunEnd = Literal["ended", "failed", "deadline", "interrupted", "lost"]
# outcome -> (status of the task, condition)
OUTCOMES: Mapping[str, tuple[TaskStatus, str]] = {
    "done": ("agent_done", "the agent reported 'done' and did not fail; or it cannot report, and succeeded"),
    "partial": ("blocked", "the agent reported that a part is done"),
    "failed": ("blocked", "the agent reported a failure"),
    "blocked": ("blocked", "the agent reported an obstacle"),
    "needs_input": ("needs_input", "the agent asked a question"),
    "no_result": ("blocked", "the agent succeeded without reporting a result"),
    "bad_result": ("blocked", "the result of the agent is invalid"),
    "agent_failed": ("blocked", "the agent failed, without a result or after reporting 'done'"),
    "deadline": ("blocked", "the deadline passed, without a result or with 'done'; all processes were ended"),
    "refused": ("blocked", "the agent reported 'done' but left guarded, out-of-scope or unfit changes"),
    "commit_refused": (
        "blocked",
        "the agent reported 'done' but a hook refused the commit; only in older runs",
    ),
    "interrupted": ("todo", "a user interrupted the delegator before there was a result"),
    "lost": ("todo", "the delegator died, or the machine restarted, before there was a result"),
    "not_started": ("todo", "the agent cannot run here: no such program, no login, or no quota left"),
}


class TaskResult(NamedTuple):
    """The result an agent reports, with the fields of its document; valid for one attempt of one task."""

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
        """Return the result as a JSON document."""
        return {"schema": SCHEMA, **self._asdict(), "details": list(self.details)}

    @property
    def content(self) -> dict[str, Any]:
        """The document without its time: two results with the same content are the same."""
        return {key: value for key, value in self.document().items() if key != "at"}


class RunEnding(NamedTuple):
    """The end of a run. `message` is the agent's stderr tail, or the cause."""

    how: RunEnd
    message: str = ""
    error: str | None = None
    thread: str | None = None
    argv: tuple[str, ...] = ()
    summary: str = ""


class TaskOutcome(NamedTuple):
    """The outcome of a run for its task. `take`: commit the changes in the worktree to the task's branch."""

    outcome: str
    reason: str | None = None
    take: bool = False

    @property
    def status(self) -> TaskStatus:
        """The new status of the task."""
        return OUTCOMES[self.outcome][0]


def result_from(document: Mapping[str, Any]) -> TaskResult:
    """Build a result from a document that has passed its schema."""
    fields = {key: value for key, value in document.items() if key != "schema"}
    return TaskResult(**{**fields, "details": tuple(fields["details"])})


def decide_outcome(
    how: RunEnd, message: str, result: TaskResult | None, unusable: str | None, *, reports: bool
) -> TaskOutcome:
    """Decide the outcome of a run that has ended.

    Args:
        how: how the run ended.
        message: the last output of the agent, or why the run ended, in one line.
        result: the result that the agent reported for this attempt.
        unusable: why the reported result is invalid.
        reports: whether the agent can report a result; only then it is required.
    """
    if unusable is not None:
        return TaskOutcome("bad_result", f"its result cannot be used: {unusable}")
    if result is not None and result.status != "done":
        return TaskOutcome(result.status, f"{result.status}: {result.summary}")
    if how in ("failed", "deadline"):
        return TaskOutcome("agent_failed" if how == "failed" else how, message)
    if result is not None or (how == "ended" and not reports):
        return TaskOutcome("done", None, take=True)
    if how == "ended":
        return TaskOutcome("no_result", "it ended without a result")
    return TaskOutcome(how, message)
