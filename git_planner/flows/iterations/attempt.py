"""One attempt at a directive, from a worktree at its state commit to a record.

What the agent left is judged by its content alone. What the guard, a commit hook or the agent itself spoiled
is kept under a ref of ours; only a change that may be measured becomes a commit of the branch.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner.agents.contract import Brief, Implementation, Implementer, Tell, Usage
from git_planner.errors import PlannerError
from git_planner.flows.iterations.agent_changes import (
    UNREADABLE,
    AgentChanges,
    AttemptSite,
    shorten,
    subject_line,
)
from git_planner.flows.records.record import record_commit, record_failure
from git_planner.flows.records.recorder import RecordResult
from git_planner.gitio import agent_worktree
from git_planner.gitio.store import Message
from git_planner.rules.iterations.stop import is_transient_code
from git_planner.rules.planning.directive import IterationState


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt ended. `kept` is the ref of what is not on the branch; `usage` the implementer's."""

    recorded: RecordResult
    kept: str | None
    usage: Usage
    seconds: float


@dataclass(frozen=True, slots=True)
class _Report:
    """What is known about the implementer's turn, for the record."""

    agent: str
    model: str | None
    usage: Usage
    seconds: float
    failure: PlannerError | None = None

    @property
    def assisted_by(self) -> str:
        return f"{self.agent}:{self.model or 'default'}"

    def extra(self, state: IterationState) -> dict[str, Any]:
        planned = dict(state.planner.get("usage") or {"input": 0, "output": 0})
        return {
            "agents": {
                "planner": {"name": state.planner["name"], "model": state.planner["model"]},
                "implementer": {"name": self.agent, "model": self.model},
            },
            "usage": {
                "planner_input": planned["input"],
                "planner_output": planned["output"],
                "implementer_input": self.usage.input,
                "implementer_output": self.usage.output,
            },
            "seconds": {"plan": state.planner["seconds"], "implement": round(self.seconds, 3)},
        }


def make_attempt(work: AttemptSite, implementer: Implementer, brief: Brief, tell: Tell) -> Attempt:
    """Let the implementer work, then judge, commit and record what it did.

    Raises:
        PlannerError: what the implementer raised, when another try would not help either; E_INTERRUPTED after
            Ctrl-C, with everything left to be resumed; what recording raises.
    """
    began = time.monotonic()
    failed: PlannerError | None = None
    done: Implementation | None = None
    tell(f"{work.state.branch}: {implementer.name} works in '{work.place.top}'")
    try:
        done = implementer.implement(brief, tell)
    except PlannerError as error:
        if not is_transient_code(error.code):
            raise
        failed = error
    took = time.monotonic() - began
    report = _Report(
        agent=implementer.name,
        model=(done.model if done else None) or brief.model,
        usage=done.usage if done else Usage(),
        seconds=took,
        failure=failed,
    )
    recorded, kept = _Settlement(work, report, tell).settle()
    return Attempt(recorded, kept, report.usage, took)


class _Settlement:
    """What becomes of what the agent left."""

    def __init__(self, work: AttemptSite, report: _Report, tell: Tell) -> None:
        self.work, self.report, self.tell = work, report, tell
        self.left = AgentChanges(work)

    def settle(self) -> tuple[RecordResult, str | None]:
        """Judge, then commit or set aside, then record. The ref is the one that keeps what was set aside."""
        left = self.left
        try:
            violations = left.look()
        except PlannerError as error:
            return self._unreadable(error)
        if violations:
            return self._refuse(violations)
        if self.report.failure is not None:
            return self._failed(self.report.failure)
        left.put_on()
        if left.tree == left.blank:
            return self._fail(left.tip or self.work.start, "no_change"), None
        return self._commit()

    def _unreadable(self, error: PlannerError) -> tuple[RecordResult, None]:
        """Nothing can be kept: the folder is gone, or holds what git cannot read."""
        if error.code not in UNREADABLE:
            raise error
        agent_worktree.put_branch(self.work.repo, self.work.ref, self.work.start)
        note = f"what the implementer left cannot be read: {error.message}"
        return self._fail(self.work.start, "implementer_failed", note), None

    def _refuse(self, violations: tuple[str, ...]) -> tuple[RecordResult, str]:
        ref, commit = self._set_aside("guard", violations)
        return self._fail(commit, "guard", violations=violations), ref

    def _failed(self, error: PlannerError) -> tuple[RecordResult, str | None]:
        reason = "timeout" if error.code == "E_DEADLINE" else "implementer_failed"
        note = "\n".join((error.message, *error.details))
        if not self.left.changed:
            self.left.put_on()
            return self._fail(self.work.start, reason, note), None
        ref, commit = self._set_aside(reason, (note,))
        return self._fail(commit, reason, note), ref

    def _commit(self) -> tuple[RecordResult, str | None]:
        work = self.work
        result = self.left.commit(*attempt_message(work, self.report.assisted_by))
        if result.status != 0:
            note = (result.stdout + b"\n" + result.stderr).decode(errors="replace").strip()
            ref, commit = self._set_aside("commit_refused", (note,))
            return self._fail(commit, "commit_refused", note), ref
        extra = {**self.report.extra(work.state), "notes": list(work.notes)}
        return record_commit(
            work.repo, work.state.branch, plan=work.state.plan, tell=self.tell, extra=extra
        ), None

    def _fail(self, commit: str, reason: str, *notes: str, violations: tuple[str, ...] = ()) -> RecordResult:
        work = self.work
        return record_failure(
            work.repo,
            work.state,
            commit,
            reason,
            violations=violations,
            notes=(*work.notes, *map(shorten, notes)),
            extra=self.report.extra(work.state),
            tell=self.tell,
        )

    def _set_aside(self, reason: str, said: Sequence[str]) -> tuple[str, str]:
        message, _ = attempt_message(self.work, self.report.assisted_by, reason)
        return self.left.set_aside(message, said)


def attempt_message(work: AttemptSite, assisted_by: str, reason: str | None = None) -> tuple[Message, str]:
    """The message of an attempt's commit: subject with trailers, and body."""
    state = work.state
    trailers = [("Planner-Directive", state.directive_digest), ("Planner-Run", work.run)]
    if reason is not None:
        trailers.append(("Planner-Reason", reason))
    trailers.append(("Assisted-by", assisted_by))
    body = "\n".join("- " + " ".join(line.split()) for line in state.directive.change_summary)
    return Message(subject_line(f"{state.slug}: {state.directive.objective}"), tuple(trailers)), body


def tokens(usage: Mapping[str, int]) -> int:
    """All tokens that a record's `usage` names."""
    return sum(usage.values())
