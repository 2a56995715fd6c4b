"""One attempt at a directive, from a worktree at its state commit to a record.

Only the content of the worktree is checked. A change that the guard refuses, or whose agent
failed, is quarantined; any other becomes a commit on the branch.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from git_planner.agents.contract import Brief, Implementation, Implementer, Usage
from git_planner.errors import PlannerError
from git_planner.flows.guard.agent_turn import agent_turn
from git_planner.flows.iterations.agent_changes import (
    UNREADABLE,
    AgentChanges,
    AgentSite,
    AttemptSite,
    shorten,
    subject_line,
)
from git_planner.flows.records.record import record_commit, record_failure
from git_planner.flows.records.recorder import RecordResult
from git_planner.gitio import agent_worktree
from git_planner.gitio.store import Message
from git_planner.progress import Progress, ticker
from git_planner.rules import refnames
from git_planner.rules.iterations.stop import is_transient_code
from git_planner.rules.planning.directive import IterationState


@dataclass(frozen=True, slots=True)
class Attempt:
    """Result of an attempt. `kept` is the ref of quarantined changes; `usage` is the implementer's."""

    recorded: RecordResult
    kept: str | None
    usage: Usage
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """The implementer's part of a record; it has ended."""

    agent: str
    model: str | None
    usage: Usage
    seconds: float
    failure: PlannerError | None = None
    undone: tuple[str, ...] = ()
    confined_by: str | None = None

    @property
    def sandbox(self) -> dict[str, str]:
        """Return the field of the record that names the sandbox of the implementer's program."""
        return {} if self.confined_by is None else {"sandbox": self.confined_by}

    def document(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        failure = self.failure
        return {
            "agent": self.agent,
            "model": self.model,
            "usage": [self.usage.input, self.usage.output],
            "seconds": self.seconds,
            "failure": [failure.code, failure.message, list(failure.details)] if failure else None,
            "undone": list(self.undone),
            "confined_by": self.confined_by,
        }

    @property
    def assisted_by(self) -> str:
        """Return the value of the Assisted-by trailer."""
        return f"{self.agent}:{self.model or 'default'}"

    def extra(self, state: IterationState) -> dict[str, Any]:
        """Return the fields of the record."""
        planned = dict(state.planner.get("usage") or {"input": 0, "output": 0})
        return {
            "agents": {
                "planner": {"name": state.planner["name"], "model": state.planner["model"]},
                "implementer": {"name": self.agent, "model": self.model, **self.sandbox},
            },
            "usage": {
                "planner_input": planned["input"],
                "planner_output": planned["output"],
                "implementer_input": self.usage.input,
                "implementer_output": self.usage.output,
            },
            "seconds": {"plan": state.planner["seconds"], "implement": round(self.seconds, 3)},
        }


def report_from(document: Mapping[str, Any]) -> Report | None:
    """Read a report back from its JSON object; None if it is not one."""
    try:
        failure = document["failure"]
        return Report(
            agent=str(document["agent"]),
            model=None if document["model"] is None else str(document["model"]),
            usage=Usage(*map(int, document["usage"])),
            seconds=float(document["seconds"]),
            failure=PlannerError(failure[0], failure[1], details=failure[2]) if failure else None,
            undone=tuple(map(str, document["undone"])),
            confined_by=None if (name := document.get("confined_by")) is None else str(name),
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def run_implementer(work: AgentSite, implementer: Implementer, brief: Brief, progress: Progress) -> Report:
    """Run the implementer and return its report.

    Raises:
        PlannerError: permanent errors of the implementer.
    """
    began = time.monotonic()
    failure: PlannerError | None = None
    implementation: Implementation | None = None
    progress(f"{refnames.short_name(work.ref)}: {implementer.name} works in '{work.place.top}'")
    with agent_turn(work.repo, work.ref, progress) as turn:
        try:
            ticking = replace(brief, on_tick=ticker(progress, also=brief.on_tick))
            implementation = implementer.implement(ticking, progress)
        except PlannerError as error:
            if not is_transient_code(error.code):
                raise
            failure = error
    return Report(
        agent=implementer.name,
        model=(implementation.model if implementation else None) or brief.model,
        usage=implementation.usage if implementation else Usage(),
        seconds=time.monotonic() - began,
        failure=failure,
        undone=turn.notes,
        confined_by=implementer.confined_by,
    )


def settle_attempt(work: AttemptSite, report: Report, progress: Progress) -> Attempt:
    """Check, commit and record the changes of an implementer that has ended. Can be repeated after an error.

    Raises:
        PlannerError: E_SIGN, and what committing and recording raise.
    """
    recorded, kept = _AttemptRecorder(work, report, progress).settle()
    return Attempt(recorded, kept, report.usage, report.seconds)


class _AttemptRecorder:
    """Commit or quarantine the agent's changes, and record the attempt."""

    def __init__(self, work: AttemptSite, report: Report, progress: Progress) -> None:
        self.work, self.report, self.progress = work, report, progress
        self.left = AgentChanges(work)

    def settle(self) -> tuple[RecordResult, str | None]:
        """Check the changes, commit or quarantine them, and record; return record and quarantine ref."""
        left = self.left
        try:
            violations = left.read()
        except PlannerError as error:
            return self._unreadable(error)
        if violations:
            return self._refuse(violations)
        if self.report.failure is not None:
            return self._failed(self.report.failure)
        left.attach_head()
        if left.tree == left.start_tree:
            return self._fail(left.tip or self.work.start, "no_change"), None
        return self._commit()

    def _unreadable(self, error: PlannerError) -> tuple[RecordResult, None]:
        """Record a worktree that is missing or unreadable; nothing of it can be kept."""
        if error.code not in UNREADABLE:
            raise error
        agent_worktree.put_branch(self.work.repo, self.work.ref, self.work.start)
        note = f"the implementer's worktree cannot be read: {error.message}"
        return self._fail(self.work.start, "implementer_failed", note), None

    def _refuse(self, violations: tuple[str, ...]) -> tuple[RecordResult, str]:
        reason = self.left.refusal_reason(violations)
        ref, commit = self._quarantine(reason, violations)
        notes = (
            (f"what cannot be committed is still in '{self.work.place.top}'",) if reason == "unfit" else ()
        )
        return self._fail(commit, reason, *notes, violations=violations), ref

    def _failed(self, error: PlannerError) -> tuple[RecordResult, str | None]:
        reason = "timeout" if error.code == "E_DEADLINE" else "implementer_failed"
        note = "\n".join((error.message, *error.details))
        if not self.left.changed:
            self.left.attach_head()
            return self._fail(self.work.start, reason, note), None
        ref, commit = self._quarantine(reason, (note,))
        return self._fail(commit, reason, note), ref

    def _commit(self) -> tuple[RecordResult, None]:
        work = self.work
        self.left.commit(*attempt_message(work, self.report.assisted_by))
        extra = {**self.report.extra(work.state), "notes": [*work.notes, *self.report.undone]}
        recorded = record_commit(
            work.repo,
            work.state.branch,
            plan=work.state.plan,
            from_red=work.from_red,
            progress=self.progress,
            extra=extra,
            bench=work.bench,
        )
        return recorded, None

    def _fail(self, commit: str, reason: str, *notes: str, violations: tuple[str, ...] = ()) -> RecordResult:
        work = self.work
        return record_failure(
            work.repo,
            work.state,
            commit,
            reason,
            violations=violations,
            notes=(*work.notes, *self.report.undone, *map(shorten, notes)),
            extra=self.report.extra(work.state),
            progress=self.progress,
        )

    def _quarantine(self, reason: str, details: Sequence[str]) -> tuple[str, str]:
        message, _ = attempt_message(self.work, self.report.assisted_by, reason)
        return self.left.quarantine(message, details)


def attempt_message(work: AttemptSite, assisted_by: str, reason: str | None = None) -> tuple[Message, str]:
    """Return the message of an attempt's commit: subject with trailers, and body."""
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
