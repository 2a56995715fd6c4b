"""Results of gates: one of three verdicts, of which only one is a pass, and their events. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from git_planner.rules.documents import canonical_json
from git_planner.rules.policy.gates import Gate
from git_planner.rules.tournament.event import EventDraft

GateVerdict = Literal["passed", "failed", "skipped"]
SKIPPED = "E_GATE_SKIPPED"
# By a convention of test runners: the test was skipped.
SKIP_STATUS = 64
_SKIP_LINE = re.compile(rb"^(?:TEST_SKIPPED|SKIP)\b[^\n]{0,300}", re.MULTILINE)
_CODES = {"tests": "E_TEST", "lint": "E_LINT", "types": "E_TYPES", "build": "E_BUILD"}
# The names of the events of a gate; those of a gate without names of its own are those of a test.
_EVENTS = {"tests": "TEST", "lint": "LINT", "types": "TSC", "build": "NPM_PACK", "canon": "PORT_CHECK"}
_QUIET = ("guard", "scope")
_PHASES = {"passed": "pass", "failed": "fail", "skipped": "skipped"}


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of one gate.

    `code` is the error code of a failure or skip, `message` one sentence, `details` further lines; `log` is
    the folder of the output, from the common git directory. `effects` are observed effects, of the gate
    'side_effects'.
    """

    name: str
    verdict: GateVerdict
    code: str | None = None
    seconds: float = 0.0
    message: str = ""
    log: str | None = None
    required: bool = True
    details: tuple[str, ...] = ()
    effects: Mapping[str, Any] | None = None
    at: str = ""

    @property
    def is_in_the_way(self) -> bool:
        """Return whether the set fails because of this gate."""
        return self.verdict == "failed" or (self.verdict == "skipped" and self.required)

    def document(self) -> dict[str, Any]:
        """Return the result as JSON."""
        document = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**document, "details": list(self.details), "seconds": round(self.seconds, 3)}


@dataclass(frozen=True, slots=True)
class GateReport:
    """The results of a set of gates on one commit.

    `key` is the digest of all that the results depend on: the tree, its base, the gates and the environment.
    """

    gate_set: str
    key: str
    commit: str
    tree: str
    base: str
    results: tuple[GateResult, ...]
    began_at: str = ""
    at: str = ""

    @property
    def passed(self) -> bool:
        """Return whether a gate has passed and none is in the way. Skipped is not passed."""
        return any(result.verdict == "passed" for result in self.results) and not any(
            result.is_in_the_way for result in self.results
        )

    @property
    def failure(self) -> GateResult | None:
        """Return the first gate that is in the way; a failed one before a skipped one."""
        blocking = [result for result in self.results if result.is_in_the_way]
        return min(blocking, key=lambda result: result.verdict != "failed", default=None)

    @property
    def code(self) -> str | None:
        """Return the error code of the first gate that is in the way."""
        if self.failure is not None:
            return self.failure.code or "E_GATE"
        return None if self.passed else SKIPPED

    @property
    def seconds(self) -> float:
        """Return the duration of all gates."""
        return sum(result.seconds for result in self.results)

    def counted(self, verdict: GateVerdict) -> int:
        """Return the number of gates with a verdict."""
        return sum(result.verdict == verdict for result in self.results)

    def document(self) -> dict[str, Any]:
        """Return the report as JSON."""
        document = {name: getattr(self, name) for name in self.__dataclass_fields__}
        results = [result.document() for result in self.results]
        return {**document, "results": results, "passed": self.passed, "code": self.code}


def report_from(document: Mapping[str, Any]) -> GateReport:
    """Build a report from its document, which has passed its schema."""
    results = tuple(_result_from(result) for result in document["results"])
    fields = {name: document[name] for name in GateReport.__dataclass_fields__ if name in document}
    return GateReport(**{**fields, "results": results})


def is_report(document: Mapping[str, Any]) -> bool:
    """Return whether a document has all that a report is built from."""
    return all(name in document for name in ("gate_set", "key", "commit", "tree", "base", "results"))


def _result_from(document: Mapping[str, Any]) -> GateResult:
    fields = {name: document[name] for name in GateResult.__dataclass_fields__ if name in document}
    return GateResult(**{**fields, "details": tuple(document.get("details", ()))})


def gates_digest(gates: tuple[Gate, ...]) -> str:
    """Return the digest of a set of gates."""
    return canonical_json.digest([gate.document() for gate in gates])


def command_result(gate: Gate, status: int, stdout: bytes, stderr: bytes) -> GateResult:
    """Decide by the end of a gate's command.

    A command that exits with SKIP_STATUS, or prints a line that begins with 'SKIP' or 'TEST_SKIPPED', has not
    passed.

    Args:
        gate: the gate.
        status: the exit status, or minus the signal that ended the command.
        stdout, stderr: what it printed, as far as it was kept.
    """
    code = _CODES.get(gate.name, "E_GATE")
    skip = _SKIP_LINE.search(stdout) or _SKIP_LINE.search(stderr)
    if status == SKIP_STATUS or (status == 0 and skip):
        reason = _text(skip[0]) if skip else f"the command ended with status {SKIP_STATUS}"
        return GateResult(gate.name, "skipped", SKIPPED, message=f"skipped: {reason}", required=gate.required)
    if status == 0:
        return GateResult(gate.name, "passed", required=gate.required)
    how = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
    lines = (stderr.strip() or stdout.strip()).splitlines()[-5:]
    last = f": {_text(lines[-1])}" if lines else ""
    return GateResult(
        gate.name,
        "failed",
        code,
        message=f"'{_text(' '.join(gate.run).encode())}' {how}{last}",
        required=gate.required,
        details=tuple(_text(line) for line in lines),
    )


def refused_result(gate: Gate, reason: str, sentence: str) -> GateResult:
    """Return the result of a gate whose command gave no usable end, by the refusal's reason.

    What this machine lacks is no fault of the variant: the gate is skipped.
    """
    if reason in ("missing_tool", "no_jail", "submodule", "unprepared", "working_tree"):
        return GateResult(gate.name, "skipped", SKIPPED, message=sentence, required=gate.required)
    code = "E_DEADLINE" if reason == "timeout" else _CODES.get(gate.name, "E_GATE")
    return GateResult(gate.name, "failed", code, message=sentence, required=gate.required)


def report_events(
    report: GateReport, *, turn: int | None = None, variant: int | None = None
) -> list[EventDraft]:
    """Return the events of a report, in order."""
    place = {"turn": turn, "variant": variant}
    about = {**place, "gate_set": report.gate_set}
    ids = {"commit": report.commit, "tree": report.tree}
    drafts = [EventDraft("GATES_START", None, {**about, **ids}, report.began_at)]
    for result in report.results:
        drafts += [replace(draft, detail={**place, **draft.detail}) for draft in _gate_events(result)]
    counts = {verdict: report.counted(verdict) for verdict in ("passed", "failed", "skipped")}
    phases = [
        {"name": result.name, "dur_ms": _milliseconds(result), "status": _PHASES[result.verdict]}
        for result in report.results
    ]
    took = round(report.seconds * 1000)
    drafts.append(
        EventDraft("GATES_SUMMARY", None, {**about, **counts, "phases": phases, "dur_ms": took}, report.at)
    )
    if report.passed:
        return [*drafts, EventDraft("GATES_PASS", None, about, report.at)]
    failure = report.failure
    reason = (
        {"gate": failure.name, "message": failure.message} if failure else {"message": "no gate has passed"}
    )
    return [*drafts, EventDraft("GATES_FAIL", report.code, {**about, **reason}, report.at)]


def _gate_events(result: GateResult) -> Iterator[EventDraft]:
    name = _EVENTS.get(result.name, "TEST")
    detail: dict[str, Any] = {"gate": result.name, "verdict": result.verdict, "dur_ms": _milliseconds(result)}
    if result.name not in _QUIET:
        yield EventDraft(f"{name}_START", None, {"gate": result.name}, result.at)
        if name == "TEST":
            detail["test"] = result.name
    if result.effects is not None:
        summary = {"gate": result.name, "side_effects": result.effects}
        yield EventDraft("SIDEEFFECTS_SUMMARY", None, summary, result.at)
    if result.verdict == "skipped":
        event = {"TEST": "TEST_SKIPPED", "NPM_PACK": "NPM_PACK_SKIP"}.get(name, "GATES_WARN")
        event = "GATES_WARN" if result.name in _QUIET else event
        yield EventDraft(event, result.code, {**detail, "reason": result.message}, result.at)
    elif result.name not in _QUIET:
        output = {"message": result.message, "log": result.log, "diagnostics": list(result.details) or None}
        end = "PASS" if result.verdict == "passed" else "FAIL"
        yield EventDraft(f"{name}_{end}", result.code, {**detail, **output}, result.at)


def _milliseconds(result: GateResult) -> int:
    return round(result.seconds * 1000)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").strip()[:300]
