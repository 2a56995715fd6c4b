"""Read TAP, the Test Anything Protocol, with subtests. Pure.

Numbers and plans must agree, so a test that prints a line of its own that looks like a result makes the
output no proof. In the dialect of tape, a comment is the title of the test whose assertions follow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from git_planner.rules.measuring.proofs.proof import INSIDE, Outcomes, TestOutcome, no_proof, report_text
from git_planner.rules.measuring.verdict import Refusal

_POINT = re.compile(r"( {0,400})(ok|not ok)(?: +(\d{1,9}))?(?:(?: +-)?(?: +(.*))?)?", re.IGNORECASE)
_PLAN = re.compile(r"( {0,400})1\.\.(\d{1,9})\s*(?:#.*)?")
_DIRECTIVE = re.compile(r"(?<!\\)#\s*(skip|todo)", re.IGNORECASE)
_INDENT = 4
_MAX_DEPTH = 50


@dataclass(slots=True)
class _Point:
    """One test point; `path` are the titles of its suites and its own."""

    path: list[str]
    outcome: TestOutcome
    is_suite: bool = False


@dataclass(slots=True)
class _Level:
    """The points of one depth since its last plan, the number of its next point, and its plan."""

    points: list[_Point] = field(default_factory=list)
    below: list[_Point] = field(default_factory=list)
    next_number: int = 1
    plan: int | None = None

    @property
    def count(self) -> int:
        return self.next_number - 1


class _BrokenTapError(Exception):
    pass


def read_tap(content: bytes) -> Outcomes | Refusal:
    """Return the outcomes of TAP; ids are the titles of suites and test."""
    return _read(content, groups=False)


def read_tape(content: bytes) -> Outcomes | Refusal:
    """Return the outcomes of tape's output; ids are the titles of test and assertion."""
    return _read(content, groups=True)


def _read(content: bytes, *, groups: bool) -> Outcomes | Refusal:
    reader = _TapReader(groups=groups)
    try:
        for line in report_text(content).split("\n"):
            reader.add(line)
        points = reader.finish()
    except _BrokenTapError as error:
        return no_proof(str(error))
    return [(INSIDE.join(point.path), point.outcome) for point in points]


class _TapReader:
    """Reads lines; `levels` are the open depths."""

    def __init__(self, *, groups: bool) -> None:
        self.groups = groups
        self.group = ""
        self.levels: list[_Level] = [_Level()]
        self.last: _Point | None = None
        self.block: str | None = None

    def add(self, line: str) -> None:
        if self.block is not None:
            self._add_detail(line)
        elif match := _POINT.fullmatch(line.rstrip()):
            self._add_point(match)
        elif match := _PLAN.fullmatch(line):
            self._add_plan(match)
        elif line.startswith("Bail out!"):
            raise _BrokenTapError(f"the tests bailed out: {line[9:].strip()[:200]!r}")
        elif self.last is not None and line.strip() == "---":
            self.block = line.rstrip()[:-3]
        elif self.groups and line.startswith("# "):
            self._add_title(line[2:].strip())

    def _add_title(self, title: str) -> None:
        """Take the title of a test of tape; a test that is skipped as a whole has no assertions."""
        self.group = title
        if title.startswith("SKIP "):
            self.levels[0].below.append(_Point([title[5:]], "skipped"))

    def finish(self) -> list[_Point]:
        root = self.levels[0]
        if self.block is not None or (len(self.levels) > 1 and self._is_open(1)):
            raise _BrokenTapError("the output ends within a test")
        if root.plan is None:
            raise _BrokenTapError("the output has no plan '1..N', so it may be incomplete")
        self._check_plan(root)
        # A suite is no test, unless it fails by itself.
        points = [*root.points, *root.below]
        return [point for point in points if not point.is_suite or point.outcome == "failed"]

    def _is_open(self, depth: int) -> bool:
        return self.levels[depth].count > 0

    def _add_detail(self, line: str) -> None:
        """Take a line of the YAML block of a point."""
        if line.rstrip() == f"{self.block}...":
            self.block = None
        elif self.last is not None and line.strip() in ("type: 'suite'", "type: suite"):
            self.last.is_suite = True

    def _add_point(self, match: re.Match[str]) -> None:
        depth = len(match[1]) // _INDENT
        if depth >= _MAX_DEPTH:
            raise _BrokenTapError(f"its subtests are nested deeper than {_MAX_DEPTH}")
        while len(self.levels) <= depth:
            self.levels.append(_Level())
        level = self.levels[depth]
        if match[3] is not None and int(match[3]) != level.next_number:
            raise _BrokenTapError(
                f"the test numbered {match[3]} comes where {level.next_number} is expected;"
                " a test may have printed such a line"
            )
        level.next_number += 1
        title, outcome = _title_and_outcome(match[4] or "", passed=match[2].lower() == "ok")
        title = title or f"test {level.count}"
        path = [self.group, title] if self.groups and self.group and depth == 0 else [title]
        self.last = _Point(path, outcome)
        self._adopt(depth, level, title)
        level.points.append(self.last)

    def _adopt(self, depth: int, level: _Level, title: str) -> None:
        """Make the points of the next depth those of the point that ends them."""
        if depth + 1 >= len(self.levels) or not self._is_open(depth + 1):
            return
        inner = self.levels[depth + 1]
        if inner.plan is None:
            raise _BrokenTapError(f"the subtests of '{title[:80]}' have no plan '1..N'")
        self._check_plan(inner)
        for point in (*inner.points, *inner.below):
            point.path.insert(0, title)
        level.below += [*inner.points, *inner.below]
        del self.levels[depth + 1 :]

    def _add_plan(self, match: re.Match[str]) -> None:
        depth = len(match[1]) // _INDENT
        if depth >= len(self.levels) + 1 or depth >= _MAX_DEPTH:
            return
        if depth == len(self.levels):
            self.levels.append(_Level())
        level = self.levels[depth]
        if level.plan is not None:
            raise _BrokenTapError("the output has two plans '1..N'; a test may have printed one")
        level.plan = int(match[2])

    def _check_plan(self, level: _Level) -> None:
        if level.plan != level.count:
            raise _BrokenTapError(f"the plan has {level.plan} tests, and {level.count} are in the output")


def _title_and_outcome(text: str, *, passed: bool) -> tuple[str, TestOutcome]:
    directive = _DIRECTIVE.search(text)
    title = text[: directive.start()] if directive else text
    title = title.strip().replace("\\#", "#").replace("\\\\", "\\")
    if directive:
        return title, "skipped"
    return title, "passed" if passed else "failed"
