"""Read what 'cargo test' prints: one block of libtest for each test program. Pure."""

from __future__ import annotations

import re

from git_planner.rules.measuring.proofs.proof import Outcomes, TestOutcome, no_proof, report_text
from git_planner.rules.measuring.verdict import Refusal

_BEGIN = re.compile(r"running (\d{1,9}) tests?")
_TEST = re.compile(r"test (.+?) \.\.\. (ok|FAILED|ignored(?:, .*)?|bench: .*)")
_END = re.compile(r"test result: (?:ok|FAILED)\. (\d{1,9}) passed; (\d{1,9}) failed; (\d{1,9}) ignored; .*")
# The line of a documentation test, which changes with the code above it.
_LINE = re.compile(r" \(line \d+\)")
_WORDS: dict[str, TestOutcome] = {"ok": "passed", "FAILED": "failed"}


def read_cargo_test(content: bytes) -> Outcomes | Refusal:
    """Return the outcomes of all blocks; ids are the paths of the tests."""
    outcomes: Outcomes = []
    block: Outcomes = []
    expected: int | None = None
    for line in report_text(content).split("\n"):
        if begin := _BEGIN.fullmatch(line):
            if expected is not None:
                return no_proof("a block of tests begins within another; a test may have printed the line")
            block, expected = [], int(begin[1])
        elif expected is not None and (test := _TEST.fullmatch(line)):
            word = test[2].partition(",")[0]
            outcome = "passed" if word.startswith("bench: ") else _WORDS.get(word, "skipped")
            block.append((_LINE.sub("", test[1]), outcome))
        elif expected is not None and (end := _END.fullmatch(line)):
            refusal = _check_block(block, expected, end)
            if refusal is not None:
                return refusal
            outcomes += block
            expected = None
    if expected is not None:
        return no_proof("the output ends within a block of tests")
    return outcomes


def _check_block(block: Outcomes, expected: int, end: re.Match[str]) -> Refusal | None:
    if len(block) != expected:
        return no_proof(
            f"{expected} tests were announced but {len(block)} can be read from the output;"
            " what tests print may hide them, which it does not without '--nocapture'"
        )
    failed, ignored = (sum(1 for _, was in block if was == outcome) for outcome in ("failed", "skipped"))
    if (failed, ignored) != (int(end[2]), int(end[3])):
        return no_proof("the outcomes are not those that 'test result' counts; a test may have printed one")
    return None
