"""Read JUnit reports: of pytest, ctest, PHPUnit, nextest, node, Maven, Gradle, meson. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from git_planner.rules.measuring.proofs.proof import WORST, Outcomes, TestOutcome, worse_outcome
from git_planner.rules.measuring.proofs.xml_report import parse_xml
from git_planner.rules.measuring.verdict import Refusal

_ELEMENTS: dict[str, TestOutcome] = {
    **dict.fromkeys(("failure", "error", "rerunfailure", "rerunerror"), "failed"),
    **dict.fromkeys(("skipped", "disabled", "ignored", "pending", "notrun", "suppressed"), "skipped"),
}
# Words of the attributes 'status' and 'result'. Any other means that the test did not run to its end.
_PASSED_WORDS = frozenset(
    (
        *("", "run", "ran", "executed", "completed", "complete", "finished", "ok", "true"),
        *("pass", "passed", "success", "successful", "succeeded"),
    )
)
_FAILED_WORDS = frozenset(
    ("fail", "failed", "failure", "error", "errored", "broken", "timeout", "xpass", "false")
)
# The class of every test in the reports of node, whose suites tell them apart.
_NO_CLASS = "test"
# Suites that tell no tests apart: those without a name, and that of a pytest whose module is 'test'.
_NO_SUITES = ("", "pytest")
_MAX_DEPTH = 200


def read_junit(content: bytes) -> Outcomes | Refusal:
    """Return the outcomes of a report, with ids 'classname::name'."""
    reader = _JunitReader()
    return parse_xml(content, start=reader.start, end=reader.end) or reader.outcomes


@dataclass(slots=True)
class _JunitReader:
    """Collects the outcomes of a report's tests in order."""

    outcomes: Outcomes = field(default_factory=list)
    _path: list[str] = field(default_factory=list)
    _suites: list[str] = field(default_factory=list)
    _open: list[tuple[str, TestOutcome]] = field(default_factory=list)
    _to_do: bool = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._path and tag not in ("testsuites", "testsuite"):
            raise ValueError(f"it starts with '{tag[:40]}'")
        if len(self._path) >= _MAX_DEPTH:
            raise ValueError(f"its elements are nested deeper than {_MAX_DEPTH}")
        if tag == "testsuite":
            self._suites.append(attributes.get("name", ""))
        if tag == "testcase":
            words = (attributes[name] for name in ("status", "result") if name in attributes)
            outcome: TestOutcome = max(map(_status_outcome, words), key=WORST.index, default="passed")
            self._open.append((self._test_id(attributes), outcome))
            self._to_do = False
        elif self._path and self._path[-1] == "testcase" and tag.lower() in _ELEMENTS:
            self._add_element(tag.lower(), attributes)
        self._path.append(tag)

    def end(self, tag: str) -> None:
        self._path.pop()
        if tag == "testsuite":
            self._suites.pop()
        elif tag == "testcase":
            self.outcomes.append(self._open.pop())

    def _test_id(self, attributes: dict[str, str]) -> str:
        owner, name = attributes.get("classname", ""), attributes.get("name", "")
        suites = [suite for suite in self._suites if suite not in _NO_SUITES]
        if owner == _NO_CLASS and suites:
            return "::".join((*suites, name))
        return f"{owner}::{name}"

    def _add_element(self, tag: str, attributes: dict[str, str]) -> None:
        test, outcome = self._open[-1]
        # A test that is still to do may fail, and is not counted as passed.
        self._to_do = self._to_do or attributes.get("type", "").lower() == "todo"
        added: TestOutcome = "skipped" if self._to_do else _ELEMENTS[tag]
        self._open[-1] = (test, worse_outcome(outcome, added))


def _status_outcome(word: str) -> TestOutcome:
    """Return the outcome that an attribute such as 'notrun' tells; an unknown word proves no success."""
    word = word.strip().lower()
    if word in _FAILED_WORDS:
        return "failed"
    return "passed" if word in _PASSED_WORDS else "skipped"
