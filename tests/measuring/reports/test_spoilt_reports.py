"""Reports of real runners and benchmarks with one value, line or number spoilt: each reader answers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from git_planner.rules.measuring.benchmarks.registry import read_benchmark
from git_planner.rules.measuring.proofs.proof import Proof
from git_planner.rules.measuring.proofs.registry import read_proof
from git_planner.rules.measuring.verdict import Refusal
from tests.measuring.reports.report_samples import EXAMPLES
from tests.measuring.reports.test_benchmark_readers import (
    ASV,
    CRITERION,
    GO,
    GOOGLE,
    HYPERFINE,
    JMH,
    PYTEST,
    TIME,
)

BENCHMARKS = (
    ("pytest-benchmark", PYTEST),
    ("hyperfine", HYPERFINE),
    ("google-benchmark", GOOGLE),
    ("jmh", JMH),
    ("asv", ASV),
    ("criterion", CRITERION),
    ("go", GO),
    ("gnu-time", TIME),
)
# As they stand in a document: a whole number too large for a float, one that is infinite, half a character.
VALUES = (
    "1" + "0" * 400,
    "1e999",
    "-1",
    "NaN",
    "null",
    "true",
    '"\\ud800"',
    '"\\u202e\\u0000"',
    "[]",
    "{}",
    "[[1]]",
)
MARK = "the value that is replaced"


def _spoilt_documents(node: Any, root: Any) -> Iterator[str]:
    """Yield the text of a JSON document with each of its values replaced by each of VALUES."""
    entries = list(
        node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    )
    for key, value in entries:
        node[key] = MARK
        text = json.dumps(root)
        node[key] = value
        yield from (text.replace(f'"{MARK}"', other) for other in VALUES)
        yield from _spoilt_documents(value, root)


def _spoilt_texts(text: str) -> Iterator[str]:
    """Yield a text without each of its lines, with each twice, and with each number and word replaced."""
    lines = text.split("\n")
    for place, line in enumerate(lines):
        yield "\n".join((*lines[:place], *lines[place + 1 :]))
        yield "\n".join((*lines[:place], line, *lines[place:]))
    for match in re.finditer(r"\d+|\w+", text):
        for other in ("", "0", "9" * 400, "\u0663", "x\x00\u202e", "a ... b"):
            yield text[: match.start()] + other + text[match.end() :]


def _spoilt(text: str) -> Iterator[bytes]:
    yield from (other.encode("utf-8", "surrogatepass") for other in _spoilt_texts(text))
    try:
        document = json.loads(text)
    except ValueError:
        return
    yield from (other.encode() for other in _spoilt_documents(document, document))


@pytest.mark.parametrize(("name", "report"), [(name, report) for name, report, _ in EXAMPLES])
def test_a_spoilt_report_of_tests_is_read_or_refused(name: str, report: str) -> None:
    for content in _spoilt(report):
        proof = read_proof(name, [content])
        assert isinstance(proof, Proof | Refusal)
        json.dumps(
            proof.document() if isinstance(proof, Proof) else proof.sentence, ensure_ascii=False
        ).encode()


@pytest.mark.parametrize(("name", "results"), BENCHMARKS)
def test_spoilt_results_of_benchmarks_are_read_or_refused(name: str, results: str) -> None:
    for content in _spoilt(results):
        value = read_benchmark("time", name, [content], benchmark=None, value=None)
        assert isinstance(value, float | Refusal)
        if isinstance(value, Refusal):
            value.sentence.encode()


def test_a_suite_of_node_that_fails_by_itself_has_failed_beside_another_of_its_name() -> None:
    report = "▶ a\n  ✖ one (1ms)\n✖ a (2ms)\n▶ a\n  ✔ two (1ms)\n✖ a (2ms)\n"
    report += "\u2139 tests 2\n\u2139 suites 2\n\u2139 fail 1\n"
    proof = Proof({"a > one": "failed", "a > two": "passed", "a": "failed"})
    assert read_proof("node", [report.encode()]) == proof


def test_thousands_of_suites_are_read_within_a_second() -> None:
    report = "".join(f"▶ s{number}\n  ✔ t (1ms)\n  ✔ u (1ms)\n✔ s{number} (2ms)\n" for number in range(5_000))
    start = time.process_time()
    proof = read_proof("node", [f"{report}\u2139 tests 10000\n\u2139 suites 5000\n\u2139 fail 0\n".encode()])
    assert isinstance(proof, Proof)
    assert (len(proof.outcomes), time.process_time() - start < 1) == (10_000, True)


def test_minitest_without_names_says_which_option_prints_them() -> None:
    report = "..\n\nFinished in 0.001s\n2 runs, 2 assertions, 0 failures, 0 errors, 0 skips\n"
    sentence = "minitest ran 2 tests but 0 can be read from its output; it names them with '-v'"
    assert read_proof("minitest", [report.encode()]) == Refusal("no_proof", sentence)


def test_a_refusal_quotes_any_text_within_bounds() -> None:
    report = json.dumps({"numTotalTests": "\ud800\x1b" * 10**6, "testResults": []})
    refusal = read_proof("jest", [report.encode()])
    assert isinstance(refusal, Refusal)
    assert refusal.sentence.startswith(r"the report counts \ud800\x1b")
    assert len(refusal.sentence) < 5_000
