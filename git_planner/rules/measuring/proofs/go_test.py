"""Read the events of 'go test -json'. Pure."""

from __future__ import annotations

import json
import re

from git_planner.rules.measuring.proofs.proof import Outcomes, TestOutcome, no_proof, report_text
from git_planner.rules.measuring.verdict import Refusal

_ENDS: dict[str, TestOutcome] = {"pass": "passed", "bench": "passed", "fail": "failed", "skip": "skipped"}
# A package that cannot be built is reported without an event by older versions of go.
_NOT_BUILT = re.compile(r"FAIL\t(\S+) \[[^\]]*\]")
# The name of what fails in a package outside of its tests: its build, TestMain, a panic.
_PACKAGE = "(package)"


def read_go_test(content: bytes) -> Outcomes | Refusal:
    """Return the outcomes of the events, with ids 'package::test'."""
    reader = _GoReader()
    for number, line in enumerate(report_text(content).split("\n"), 1):
        problem = reader.add(line)
        if problem is not None:
            return no_proof(f"line {number:,} {problem}")
    if not reader.events:
        return no_proof("no event of 'go test -json' was printed")
    return reader.finish()


class _GoReader:
    """Collects the ends of tests, which must have begun; `begun` are those without an end."""

    def __init__(self) -> None:
        self.outcomes: Outcomes = []
        self.begun: dict[tuple[str, str], None] = {}
        self.failing: set[str] = set()
        self.failed_packages: dict[str, None] = {}
        self.open_packages: dict[str, None] = {}
        self.events = 0

    def add(self, line: str) -> str | None:
        """Take one line; return what is wrong with it."""
        if not line.startswith("{"):
            if match := _NOT_BUILT.fullmatch(line.rstrip()):
                self.events += 1
                self.failed_packages[match[1]] = None
            return None
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return "is not complete JSON, so the output may be incomplete"
        action, package, test = (event.get(key, "") for key in ("Action", "Package", "Test"))
        if not all(isinstance(value, str) for value in (action, package, test)):
            return "is no event of 'go test'"
        self.events += 1
        if test:
            return self._add_test(action, package, test)
        self._add_package(action, package)
        return None

    def _add_test(self, action: str, package: str, test: str) -> str | None:
        self.open_packages[package] = None
        if action == "run":
            self.begun[package, test] = None
        elif action in _ENDS:
            if (package, test) not in self.begun:
                return f"ends '{test[:80]}', which was not running; a test may have printed such a line"
            del self.begun[package, test]
            self.outcomes.append((f"{package}::{test}", _ENDS[action]))
            if action == "fail":
                self.failing.add(package)
        return None

    def _add_package(self, action: str, package: str) -> None:
        if action in ("pass", "fail", "skip"):
            self.open_packages.pop(package, None)
        if action == "fail":
            self.failed_packages[package] = None

    def finish(self) -> Outcomes:
        """Return all outcomes: what began and did not end has failed, and so has its package."""
        outcomes = self.outcomes
        for package, test in self.begun:
            outcomes.append((f"{package}::{test}", "failed"))
            self.failing.add(package)
        for package in (*self.failed_packages, *self.open_packages):
            if package not in self.failing:
                outcomes.append((f"{package}::{_PACKAGE}", "failed"))
                self.failing.add(package)
        return outcomes
