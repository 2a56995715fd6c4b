"""Read what 'node --test' prints: TAP, JUnit, or the spec reporter's text. Pure."""

from __future__ import annotations

import re

from git_planner.rules.measuring.proofs.junit import read_junit
from git_planner.rules.measuring.proofs.proof import INSIDE, Outcomes, TestOutcome, no_proof, report_text
from git_planner.rules.measuring.proofs.tap import read_tap
from git_planner.rules.measuring.verdict import Refusal

# Behind the duration comes a note; a title may have a '#' of its own.
_LINE = re.compile(r"( {0,200})([✔✖﹣▶⚠]) (?:(.*) \(\d[\d.]{0,30}ms\)(?: # ?(.*))?|(.*))")
_COUNT = re.compile(r"\u2139 (tests|suites|fail) (\d{1,9})")
_INDENT = 2


def read_node(content: bytes) -> Outcomes | Refusal:
    """Return the outcomes; ids are the titles of suites and test."""
    text = report_text(content)
    start = text.lstrip()
    if start.startswith("<"):
        return read_junit(content)
    if re.search(r"^TAP version", text, re.MULTILINE):
        return read_tap(content)
    return _read_spec(text)


def _read_spec(text: str) -> Outcomes | Refusal:
    outcomes: Outcomes = []
    suites: list[str] = []
    # For each open suite, the number of outcomes before it.
    begins: list[int] = []
    parents = 0
    counts: dict[str, int] = {}
    for line in text.split("\n"):
        if count := _COUNT.fullmatch(line):
            if count[1] in counts:
                return no_proof(f"the line '\u2139 {count[1]} N' appears twice; a test may have printed one")
            counts[count[1]] = int(count[2])
        # The failures are listed again after the counts.
        if counts or not (match := _LINE.fullmatch(line)):
            continue
        depth, title = len(match[1]) // _INDENT, match[3] if match[5] is None else match[5]
        path = (*suites[:depth], title)
        if match[2] == "▶":
            suites[depth:], begins[depth:] = [title], [len(outcomes)]
            parents += 1
        elif suites[depth : depth + 1] == [title] and match[2] in "✔✖":
            # The end of a suite: it is no test, unless it fails by itself.
            inner = (outcome for _, outcome in outcomes[begins[depth] :])
            if match[2] == "✖" and "failed" not in inner:
                outcomes.append((INSIDE.join(path), "failed"))
                parents -= 1
            del suites[depth:], begins[depth:]
        else:
            outcomes.append((INSIDE.join(path), _outcome(match[2], match[4])))
    return _checked(outcomes, parents, counts)


def _outcome(mark: str, note: str | None) -> TestOutcome:
    if mark in "﹣⚠" or (note is not None and re.match(r"(?i)(skip|todo)\b", note)):
        return "skipped"
    return "passed" if mark == "✔" else "failed"


def _checked(outcomes: Outcomes, parents: int, counts: dict[str, int]) -> Outcomes | Refusal:
    if not {"tests", "suites", "fail"} <= set(counts):
        return no_proof("node's lines '\u2139 tests N' are missing, so the output may be incomplete")
    counted, seen = counts["tests"] + counts["suites"], len(outcomes) + parents
    if counted != seen:
        return no_proof(
            f"node counts {counted} tests and suites but {seen} can be read from its output;"
            " a test may have printed such lines"
        )
    return outcomes
