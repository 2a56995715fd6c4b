"""Read the texts of unittest, minitest and PHPUnit's TestDox. Pure."""

from __future__ import annotations

import re

from git_planner.rules.measuring.proofs.proof import INSIDE, Outcomes, TestOutcome, no_proof, report_text
from git_planner.rules.measuring.verdict import Refusal

_UNITTEST_WORDS: dict[str, TestOutcome] = {
    "ok": "passed",
    "FAIL": "failed",
    "ERROR": "failed",
    "unexpected success": "failed",
    "expected failure": "skipped",
}
_FAILED_ENDS = (" ... FAIL", " ... ERROR")
_MINITEST_BEGIN = re.compile(r"^([A-Za-z_][\w:]{0,300}#[^\n]{1,300}?) = ", re.MULTILINE)
_MINITEST_END = re.compile(r"\d\.\d+ s = ([.FES])$", re.MULTILINE)
_MINITEST_COUNT = re.compile(
    r"^(\d{1,9}) runs, \d+ assertions, \d+ failures, \d+ errors, \d+ skips", re.MULTILINE
)
_MINITEST_WORDS: dict[str, TestOutcome] = {".": "passed", "F": "failed", "E": "failed"}
_TESTDOX_TEST = re.compile(r" ([✔✘↩∅☢⚠]) (\S.*?)(?: \[[\d.]+ m?s\])?")
_TESTDOX_COUNT = re.compile(r"^(?:OK \((\d{1,9}) tests?,|Tests: (\d{1,9}),)", re.MULTILINE)
_TESTDOX_WORDS: dict[str, TestOutcome] = {"✔": "passed", "✘": "failed", "☢": "failed"}


def read_unittest(content: bytes) -> Outcomes | Refusal:
    """Return the outcomes of 'python -m unittest -v' on stderr; ids are 'package.module.Class.test'."""
    text = report_text(content)
    totals = re.findall(r"^Ran (\d{1,9}) tests? in \d", text, re.MULTILINE)
    if len(totals) != 1:
        return no_proof(f"unittest's line 'Ran N tests' appears {len(totals)} times, not once")
    body = re.split(r"^(?:={70}|-{70})$", text, maxsplit=1, flags=re.MULTILINE)[0]
    outcomes: Outcomes = []
    for header, rest in _unittest_segments(body):
        test = _unittest_id(header)
        outcome = _unittest_outcome(rest)
        if test is None or outcome is None:
            return no_proof(f"the outcome of '{header[0]} ({header[1]})' is unclear")
        outcomes.append((test, outcome))
    ran = int(totals[0])
    if ran == 0 or not outcomes:
        return no_proof("no test ran")
    tests = [test for test, _ in outcomes if not test.endswith((".setUpClass", ".setUpModule"))]
    if ran > len(tests):
        return no_proof(f"unittest ran {ran} tests but {len(tests)} can be read from its output")
    return outcomes


def read_minitest(content: bytes) -> Outcomes | Refusal:
    """Return the outcomes of minitest's verbose output; ids are 'Class#test'."""
    body, _, _ = report_text(content).partition("\nFinished in ")
    counts = _MINITEST_COUNT.findall(report_text(content))
    if len(counts) != 1:
        return no_proof(f"minitest's line 'N runs' appears {len(counts)} times, not once")
    begins = list(_MINITEST_BEGIN.finditer(body))
    ends = [begin.start() for begin in begins[1:]] + [len(body)]
    outcomes: Outcomes = []
    for begin, end in zip(begins, ends, strict=False):
        marks = _MINITEST_END.findall(body, begin.end(), end)
        if len(marks) != 1:
            return no_proof(f"the outcome of '{begin[1]}' is unclear")
        outcomes.append((begin[1], _MINITEST_WORDS.get(marks[0], "skipped")))
    if int(counts[0]) != len(outcomes):
        hint = "" if outcomes else "; it names them with '-v'"
        return no_proof(
            f"minitest ran {counts[0]} tests but {len(outcomes)} can be read from its output{hint}"
        )
    return outcomes


def read_testdox(content: bytes) -> Outcomes | Refusal:
    """Return the outcomes of PHPUnit's TestDox; ids are the titles of class and test."""
    text = report_text(content)
    # What did not succeed is listed again after the line of the time.
    body, time, rest = text.partition("\nTime: ")
    counts = [one or other for one, other in _TESTDOX_COUNT.findall(rest)]
    if not time or len(counts) != 1:
        return no_proof("PHPUnit's last line with the number of tests is missing, or appears twice")
    outcomes: Outcomes = []
    group = ""
    for line in body.split("\n"):
        if test := _TESTDOX_TEST.fullmatch(line):
            outcomes.append((f"{group}{INSIDE}{test[2]}", _TESTDOX_WORDS.get(test[1], "skipped")))
        elif line and not line.startswith(" "):
            group = line.strip()
    if int(counts[0]) != len(outcomes):
        return no_proof(f"PHPUnit ran {counts[0]} tests but {len(outcomes)} can be read from its output")
    return outcomes


def _unittest_segments(body: str) -> list[tuple[tuple[str, str], str]]:
    heads = list(re.finditer(r"^(\w+) \(([\w.<>]+)\)(?= |$)", body, re.MULTILINE))
    ends = [head.start() for head in heads[1:]] + [len(body)]
    return [((head[1], head[2]), body[head.end() : end]) for head, end in zip(heads, ends, strict=False)]


def _unittest_id(header: tuple[str, str]) -> str | None:
    name, place = header
    return place if place.endswith(f".{name}") else f"{place}.{name}"


def _unittest_outcome(rest: str) -> TestOutcome | None:
    """Return the outcome at the end of a test's segment; output of the test itself may come before it.

    Every step takes time in proportion to the text, which a candidate writes.
    """
    lines = [line for line in rest.split("\n") if line.startswith(" ") and line.endswith(_FAILED_ENDS)]
    outcome = _final_outcome(rest.rstrip())
    # Failing subtests have lines of their own, and the test's own line has no outcome then.
    if outcome is None:
        return "failed" if lines else None
    subtests = (line for line in lines if re.match(r" +\w+ \(", line))
    return "failed" if next(subtests, None) is not None else outcome


def _final_outcome(rest: str) -> TestOutcome | None:
    start = rest.find(" ... ")
    if start < 0:
        return None
    result = rest[start + 5 :]
    for word, outcome in _UNITTEST_WORDS.items():
        if result.endswith(word):
            return outcome
    for quote in "'\"":
        reason = result.find(f"skipped {quote}")
        if reason >= 0 and result.endswith(quote) and len(result) > reason + len("skipped '"):
            return "skipped"
    return None
