"""Gates on commits outside tournaments: one by its name, or all that a push would send."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import git_planner
from git_planner.errors import DONE, NO, PlannerError
from git_planner.flows.tournament.gates.run_gates import GateOptions, prepare_gates, subject_of
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.redact import mask_text
from git_planner.rules import refnames
from git_planner.rules.tournament import event
from git_planner.rules.tournament import gate as gate_rule
from git_planner.rules.tournament.event import EventContext, Mode
from git_planner.rules.tournament.gate import GateReport

MAX_PUSH_BYTES = 1024 * 1024
# The id of streams that belong to no tournament.
STREAM_ID = "gates"
_LINE = re.compile(r"(\S+) ([0-9a-f]{40}|[0-9a-f]{64}) (\S+) (?:[0-9a-f]{40}|[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class PushedRef:
    """One ref that a push would send: its name here, its commit, and its name at the remote."""

    name: str
    commit: str
    target: str


@dataclass(frozen=True, slots=True)
class GatedRefs:
    """The results of gates on commits, by name; `skipped` are pushed refs that hold no code."""

    gate_set: str
    reports: tuple[tuple[str, GateReport], ...]
    skipped: tuple[str, ...] = ()

    @property
    def exit(self) -> int:
        """Exit status: 1 if a commit does not pass."""
        return DONE if all(report.passed for _, report in self.reports) else NO

    def document(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            "schema": "git-planner/gates@1",
            "set": self.gate_set,
            "passed": self.exit == DONE,
            "refs": [{"ref": name, **report.document()} for name, report in self.reports],
            "skipped": list(self.skipped),
        }

    def events(self, stream: bytes) -> bytes:
        """Return a stream with the events of the gates at its end."""
        mode: Mode = "shipping" if self.gate_set == "shipping" else "conceptual"
        context = EventContext(STREAM_ID, mode, version=git_planner.__version__)
        drafts = [draft for _, report in self.reports for draft in gate_rule.report_events(report)]
        return event.append(stream, drafts, context, mask=mask_text)


def gate_ref(
    repo: Repository, ref: str, progress: Progress, *, gate_set: str, base: str | None = None
) -> GatedRefs:
    """Run a set of gates on one commit.

    Args:
        repo: the repository.
        ref: any name of the commit.
        progress: called with each progress message.
        gate_set: 'conceptual' or 'shipping'.
        base: the trusted base (default: that of the iteration, else the merge base with the base branch).

    Raises:
        PlannerError: E_UNKNOWN_REF, E_NO_BASE, E_NO_POLICY, E_POLICY, E_STATE; what running gates raises.
    """
    subject = subject_of(repo, ref, base and repo.resolve(base))
    report = prepare_gates(repo, subject, gate_set).run(repo, GateOptions(progress))
    return GatedRefs(gate_set, ((ref, report),))


def gate_push(repo: Repository, text: bytes, progress: Progress, *, gate_set: str) -> GatedRefs:
    """Run a set of gates on all commits that a push would send; each commit once.

    Deleted refs are passed over, and those that are a tag, a plan or the state of a tournament at the remote.

    Args:
        repo: the repository.
        text: what git gives to the hook 'pre-push' on stdin.
        progress: called with each progress message.
        gate_set: 'conceptual' or 'shipping'.

    Raises:
        PlannerError: E_USAGE if the text is not that; what `gate_ref` raises.
    """
    reports: dict[str, GateReport] = {}
    named, skipped = [], []
    for pushed in _pushed_refs(text):
        if not _holds_code(pushed.target):
            skipped.append(pushed.name)
            continue
        if pushed.commit not in reports:
            name = pushed.name if repo.maybe(pushed.name) == pushed.commit else pushed.commit
            done = gate_ref(repo, name, progress, gate_set=gate_set)
            reports[pushed.commit] = done.reports[0][1]
        named.append((pushed.name, reports[pushed.commit]))
    return GatedRefs(gate_set, tuple(named), tuple(skipped))


def _pushed_refs(text: bytes) -> Sequence[PushedRef]:
    """Return the refs that a push would create or move."""
    if len(text) > MAX_PUSH_BYTES:
        raise PlannerError("E_USAGE", f"more than {MAX_PUSH_BYTES:,} bytes are on stdin", hint=_HINT)
    refs = []
    for number, line in enumerate(text.decode("utf-8", "surrogateescape").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise PlannerError("E_USAGE", f"line {number} on stdin is not one of 'pre-push'", hint=_HINT)
        if match[2].strip("0"):
            refs.append(PushedRef(match[1], match[2], match[3]))
    return refs


def _holds_code(name: str) -> bool:
    """Return whether a ref holds code, and not a plan, the state of a tournament, or a tag."""
    branch = refnames.short_name(name)
    is_state = branch.startswith(refnames.PLAN) or (
        branch.startswith(refnames.TOURNAMENT) and branch.endswith("/run")
    )
    is_other = name.startswith("refs/") and not name.startswith(refnames.HEADS)
    return not is_state and not is_other


_HINT = "let git call it: 'exec git bo4 gate --set shipping --pre-push' in the hook 'pre-push'"
