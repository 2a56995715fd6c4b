"""One attempt at a directive, from a worktree at its state commit to a record.

What the agent left is judged by its content alone. What the guard, a commit hook or the agent itself spoiled
is kept under a ref of ours; only a change that may be measured becomes a commit of the branch.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from git_planner import redact
from git_planner.agents.contract import Brief, Implementation, Implementer, Tell, Usage
from git_planner.errors import PlannerError
from git_planner.flows.record import Recorded, record, record_failure
from git_planner.flows.trust import shown
from git_planner.gitio import history, iteration_tree
from git_planner.gitio.git import Result, failure
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message
from git_planner.judging.commits import Judge
from git_planner.rules import names, scope
from git_planner.rules.directive import State
from git_planner.rules.policy import Policy, pathspecs
from git_planner.rules.stop import is_passing

OUR_FILES = ":(top,literal).advisor"
_NOTE = 4000
_SUBJECT = 72


@dataclass(frozen=True, slots=True)
class Work:
    """Where an attempt is made.

    `place` is the worktree the agent works in; `start` the trusted state commit; `policy` that of the trusted
    base; `ours` says that no person works there; `resumed` that an earlier process began this attempt.
    """

    repo: Repository
    place: Repository
    state: State
    start: str
    policy: Policy
    ours: bool = True
    resumed: bool = False

    @property
    def ref(self) -> str:
        """The full ref of the iteration's branch."""
        return names.HEADS + self.state.branch

    @property
    def notes(self) -> tuple[str, ...]:
        """What the record shall say about how it came about."""
        return ("resumed after an interruption",) if self.resumed else ()

    @property
    def run(self) -> str:
        """What the Planner-Run trailer says."""
        return self.state.branch

    def kept(self, prefix: str) -> str:
        """The ref of ours, under a prefix, that keeps what is not on the branch."""
        return f"{prefix}{self.state.iteration:04d}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt ended. `kept` is the ref of what is not on the branch; `usage` the implementer's."""

    recorded: Recorded
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

    def extra(self, state: State) -> dict[str, Any]:
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


def attempt(work: Work, implementer: Implementer, brief: Brief, tell: Tell) -> Attempt:
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
        if not is_passing(error.code):
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
    """What becomes of what the agent left: `tree` is what lies in its worktree, `tip` the branch's tip."""

    def __init__(self, work: Work, report: _Report, tell: Tell) -> None:
        self.work, self.report, self.tell = work, report, tell
        self.git = work.repo.git
        self.tree = self.blank = work.repo.resolve(work.start, "tree")
        self.tip: str | None = work.start

    def settle(self) -> tuple[Recorded, str | None]:
        """Judge, then commit or set aside, then record. The ref is the one that keeps what was set aside."""
        work = self.work
        iteration_tree.mend(work.place, ours=work.ours)
        try:
            self.tree = iteration_tree.content(work.place, work.start)
        except PlannerError as error:
            return self._unreadable(error)
        self.tip = tip = work.repo.maybe(work.ref)
        if tip is None or not history.is_ancestor(self.git, work.start, tip):
            return self._refuse(("changed: .advisor/state.json (its commit)",))
        violations = self._violations(tip)
        if violations:
            return self._refuse(violations)
        if self.report.failure is not None:
            return self._failed(self.report.failure)
        iteration_tree.put_on(work.place, work.ref, tip)
        if self.tree == self.blank:
            return self._fail(tip, "no_change"), None
        return self._commit(tip)

    def _unreadable(self, error: PlannerError) -> tuple[Recorded, None]:
        """Nothing can be kept: the folder is gone, or holds what git cannot read."""
        if error.code not in ("E_GIT", "E_NOT_A_REPOSITORY"):
            raise error
        iteration_tree.put_branch(self.work.repo, self.work.ref, self.work.start)
        note = f"what the implementer left cannot be read: {error.message}"
        return self._fail(self.work.start, "implementer_failed", note), None

    def _violations(self, tip: str) -> tuple[str, ...]:
        """What was touched that must not be: in the content, or by a commit of the agent's own on the way."""
        start = self.work.start
        specs = [*pathspecs(self.work.policy.protected), OUR_FILES]
        changed = [
            scope.Change(shown(each.path), each.status, each.old_mode, each.new_mode)
            for each in (*history.changes(self.git, start, self.tree, specs), *self._shadowing())
        ]
        judged = scope.guard(changed)
        found = list(judged[1]) if judged else []
        if tip != start:
            words = ("log", "--format=", "-z", "-m", "--full-history", "--no-renames", "--name-only")
            on_the_way = self.git.names(*words, f"{start}..{tip}", "--", *specs)
            seen = {each.path for each in changed}
            paths = dict.fromkeys(shown(path) for path in on_the_way)
            found += [f"changed on the way: {path}" for path in paths if path not in seen]
        return tuple(found)

    def _shadowing(self) -> list[history.Change]:
        return (
            Judge(self.work.repo)
            .know(self.work.start, self.work.policy)
            .shadowing(self.work.start, self.tree)
        )

    def _refuse(self, violations: tuple[str, ...]) -> tuple[Recorded, str]:
        ref, commit = self._set_aside("guard", violations)
        return self._fail(commit, "guard", violations=violations), ref

    def _failed(self, error: PlannerError) -> tuple[Recorded, str | None]:
        reason = "timeout" if error.code == "E_DEADLINE" else "implementer_failed"
        note = "\n".join((error.message, *error.details))
        if self.tip == self.work.start and self.tree == self.blank:
            iteration_tree.put_on(self.work.place, self.work.ref, self.work.start)
            return self._fail(self.work.start, reason, note), None
        ref, commit = self._set_aside(reason, (note,))
        return self._fail(commit, reason, note), ref

    def _commit(self, tip: str) -> tuple[Recorded, str | None]:
        work = self.work
        message, body = described(work, self.report.assisted_by)
        if self.tree == work.repo.resolve(tip, "tree"):
            body = "The agent made the commits before this one itself; this one says where they belong."
        result = iteration_tree.commit(work.place, self.tree, full(message, body))
        if result.status != 0:
            return self._commit_refused(result)
        extra = {**self.report.extra(work.state), "notes": list(work.notes)}
        return record(work.repo, work.state.branch, plan=work.state.plan, tell=self.tell, extra=extra), None

    def _commit_refused(self, result: Result) -> tuple[Recorded, str]:
        said = failure(("commit",), result, self.work.place.git.cwd)
        if said.code == "E_NO_SPACE":
            raise said
        note = (result.stdout + b"\n" + result.stderr).decode(errors="replace").strip()
        ref, commit = self._set_aside("commit_refused", (note,))
        return self._fail(commit, "commit_refused", note), ref

    def _fail(self, commit: str, reason: str, *notes: str, violations: tuple[str, ...] = ()) -> Recorded:
        work = self.work
        return record_failure(
            work.repo,
            work.state,
            commit,
            reason,
            violations=violations,
            notes=(*work.notes, *map(_shortened, notes)),
            extra=self.report.extra(work.state),
            tell=self.tell,
        )

    def _set_aside(self, reason: str, said: Sequence[str]) -> tuple[str, str]:
        """Keep the attempt under a ref of ours; put branch and worktree back to the state commit."""
        work = self.work
        ref = work.kept(names.REFUSED)
        message, _ = described(work, self.report.assisted_by, reason)
        body = _shortened("\n".join(said))
        commit = iteration_tree.keep(work.repo, ref, self.tree, self.tip or work.start, full(message, body))
        iteration_tree.put_on(work.place, work.ref, work.start)
        with suppress(PlannerError):
            # A worktree that cannot be tidied is only left untidy; all that lay in it has been kept.
            iteration_tree.travel(work.place, iteration_tree.content(work.place, work.start), work.start)
        return ref, commit


def described(work: Work, assisted_by: str, reason: str | None = None) -> tuple[Message, str]:
    """The message of an attempt's commit: subject with trailers, and body."""
    state = work.state
    trailers = [("Planner-Directive", state.directive_digest), ("Planner-Run", work.run)]
    if reason is not None:
        trailers.append(("Planner-Reason", reason))
    trailers.append(("Assisted-by", assisted_by))
    objective = " ".join(state.directive.objective.split())
    subject = f"{state.slug}: {objective}"
    if len(subject) > _SUBJECT:
        subject = subject[: _SUBJECT - 1].rstrip() + "…"
    body = "\n".join("- " + " ".join(each.split()) for each in state.directive.change_summary)
    return Message(subject, tuple(trailers)), body


def full(message: Message, body: str) -> str:
    """A commit message with its body between subject and trailers."""
    subject, _, trailers = message.text().partition("\n")
    return redact.text(f"{subject}\n\n{body.strip()}\n{trailers}" if body else message.text())


def tokens(usage: Mapping[str, int]) -> int:
    """All tokens that a record's `usage` names."""
    return sum(usage.values())


def _shortened(text: str) -> str:
    return text if len(text) <= _NOTE else text[: _NOTE // 2] + "\n…\n" + text[-_NOTE // 2 :]
