"""Test reports in every format that a policy can name, as the real runners print them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from git_planner.rules.measuring.proofs.proof import Proof, TestOutcome
from git_planner.rules.measuring.proofs.registry import FORMATS, MAX_REPORT, command_with_report, read_proof
from git_planner.rules.measuring.verdict import Refusal
from tests.measuring.reports.report_samples import (
    EXAMPLES,
    JEST,
    JUNIT,
    MINITEST,
    NODE_SPEC,
    RSPEC,
    TESTDOX,
    TRX,
)

SCHEMA = Path(__file__).parents[3] / "git_planner/schemas/policy.json"

PLACES = ("/tmp/run",)


def proof_sentence(name: str, text: str | bytes) -> str:
    """Return the sentence with which a report is refused."""
    content = text if isinstance(text, bytes) else text.encode()
    refusal = read_proof(name, [content], PLACES)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.reason == "no_proof"
    return refusal.sentence


@pytest.mark.parametrize(("name", "report", "outcomes"), EXAMPLES)
def test_reports_of_the_real_runners(name: str, report: str, outcomes: dict[str, TestOutcome]) -> None:
    proof = Proof(outcomes)
    assert read_proof(name, [report.encode()], PLACES) == proof
    # The same report on Windows, as its shells write it, and in colours.
    declared = report.replace('encoding="utf-8"', "").replace('encoding="UTF-8"', "")
    assert read_proof(name, [declared.encode("utf-16")], PLACES) == proof
    assert read_proof(name, [report.replace("\n", "\r\n").encode()], PLACES) == proof


def test_every_format_has_an_example_and_is_in_the_schema() -> None:
    named = json.loads(SCHEMA.read_text())["properties"]["correctness"]["properties"]["proof"]["enum"]
    assert {name for name, _, _ in EXAMPLES} == set(FORMATS)
    assert set(named) == {*FORMATS, "exit-status"}


@pytest.mark.parametrize(("name", "report", "_outcomes"), EXAMPLES)
def test_truncated_reports_are_no_proof_or_lose_tests(
    name: str, report: str, _outcomes: dict[str, TestOutcome]
) -> None:
    content = report.strip().encode()
    whole = read_proof(name, [content], PLACES)
    assert isinstance(whole, Proof)
    for part in (content[: len(content) * share // 10] for share in range(10)):
        read = read_proof(name, [part], PLACES)
        if isinstance(read, Proof):
            kept = {test for test in read.outcomes if read.outcomes[test] == "passed"}
            assert kept < set(whole.outcomes) or "failed" in read.outcomes.values()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 1000,
        b"\xff\xfe",
        b"\xff" * 100,
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"<a>" * 50_000,
        b"    " * 60 + b"ok 1",
        b"TAP version 13\n1..0\n",
        b'{"testResults": 1, "examples": {}}',
        b'{"Action": 1}',
    ],
)
def test_what_is_no_report_is_refused_in_a_sentence(name: str, content: bytes) -> None:
    sentence = proof_sentence(name, content)
    assert sentence.isprintable()
    assert len(sentence) < 300


@pytest.mark.parametrize(
    ("name", "report", "sentence"),
    [
        (
            "tap",
            "ok 1 - a\nok 1 - forged\n1..2\n",
            "the test numbered 1 comes where 2 is expected; a test may have printed such a line",
        ),
        ("tap", "1..1\nok 1\nok 2\n", "the plan has 1 tests, and 2 are in the output"),
        ("tap", "ok 1 a\n1..1\n1..1\n", "the output has two plans '1..N'; a test may have printed one"),
        ("tap", "    ok 1 - forged\nok 1 - a\n1..1\n", "the subtests of 'a' have no plan '1..N'"),
        ("tap", "ok 1 a\nBail out! no disk\n1..1", "the tests bailed out: 'no disk'"),
        (
            "node",
            NODE_SPEC.replace("✔ adds (1.2", "✔ forged (0.1ms)\n✔ adds (1.2"),
            (
                "node counts 11 tests and suites but 12 can be read from its output;"
                " a test may have printed such lines"
            ),
        ),
        (
            "go",
            '{"Action":"pass","Package":"p","Test":"TestForged"}',
            "line 1 ends 'TestForged', which was not running; a test may have printed such a line",
        ),
        (
            "cargo",
            (
                "running 1 test\ntest forged ... ok\ntest a ... ok\n\n"
                "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
            ),
            (
                "1 tests were announced but 2 can be read from the output;"
                " what tests print may hide them, which it does not without '--nocapture'"
            ),
        ),
        (
            "cargo",
            (
                "running 1 test\nrunning 1 test\ntest forged ... ok\n\n"
                "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
            ),
            "a block of tests begins within another; a test may have printed the line",
        ),
        ("rspec", RSPEC.replace(": 5", ": 6"), "the report counts 6 examples but names 5"),
        ("jest", JEST.replace(": 4", ": 5"), "the report counts 5 tests but names 4"),
        ("trx", TRX.replace('"3"', '"4"'), "the report counts 4 tests but names 3"),
        (
            "minitest",
            MINITEST.replace("hello\n", "hello\nMathTest#test_forged = 0.00 s = .\n"),
            "the outcome of 'MathTest#test_adds' is unclear",
        ),
        (
            "testdox",
            TESTDOX.replace(" ✔ Adds", " ✔ Adds\n ✔ Forged"),
            "PHPUnit ran 6 tests but 7 can be read from its output",
        ),
    ],
)
def test_a_forged_line_is_no_proof(name: str, report: str, sentence: str) -> None:
    assert proof_sentence(name, report) == sentence


def test_what_fails_outside_of_a_test_has_failed() -> None:
    panic = '{"Action":"run","Package":"p","Test":"TestA"}\n{"Action":"fail","Package":"p"}\n'
    assert read_proof("go", [panic.encode()]) == Proof({"p::TestA": "failed"})
    built = "FAIL\texample.com/adder [setup failed]\n"
    assert read_proof("go", [built.encode()]) == Proof({"example.com/adder::(package)": "failed"})
    build = '{"Action":"run","Package":"p","Test":"A"}\n{"Action":"pass","Package":"p","Test":"A"}\n'
    build += '{"Action":"pass","Package":"p"}\n{"Action":"fail","Package":"q"}\n'
    assert read_proof("go", [build.encode()]) == Proof({"p::A": "passed", "q::(package)": "failed"})
    outside = RSPEC.replace('outside_of_examples_count": 0', 'outside_of_examples_count": 1')
    proof = read_proof("rspec", [outside.encode()])
    assert isinstance(proof, Proof)
    assert proof.ids("failed") == ["(outside of examples)", "spec/a_spec.rb::math breaks"]


def test_ten_thousand_tests_of_one_id_are_ten_thousand_tests() -> None:
    tap = "".join(f"ok {number} - same\n" for number in range(1, 10_001)) + "1..10000\n"
    proof = read_proof("tap", [tap.encode()])
    assert isinstance(proof, Proof)
    assert (len(proof.outcomes), "same № 10000" in proof.outcomes) == (10_000, True)


def test_ids_hold_no_control_characters_and_have_a_bound() -> None:
    report = json.loads(RSPEC)
    report["examples"][0]["full_description"] = "a\x00\x1b[1m\ud800"
    report["examples"][1]["full_description"] = "b" * 100_000
    proof = read_proof("rspec", [json.dumps(report).encode()])
    assert isinstance(proof, Proof)
    first, second = sorted(test for test in proof.outcomes if "::math" not in test)
    assert first == r"spec/a_spec.rb::a\x00\x1b[1m\ud800"
    assert len(second) < 1_100
    proof.tests.ids.encode()


def test_a_report_beyond_the_bound_is_not_read() -> None:
    sentence = "the report has 67,108,865 bytes; at most 67,108,864 are read"
    assert proof_sentence("tap", b" " * (MAX_REPORT + 1)) == sentence


def test_several_reports_of_one_run_are_one_proof() -> None:
    other = JUNIT.replace('"a"', '"b"').encode()
    assert read_proof("junit", [JUNIT.encode(), other]) == Proof({"m::a": "passed", "m::b": "passed"})


@pytest.mark.parametrize(
    ("name", "run", "command"),
    [
        ("junit", "pytest", "pytest --junit-xml=/r"),
        ("junit", "pytest --junitxml={proof}", "pytest --junitxml=/r"),
        ("ctest", "ctest", "ctest --output-junit /r"),
        ("rspec", "rspec", "rspec --format progress --format json --out /r"),
        ("phpunit", "phpunit", "phpunit --log-junit /r"),
        ("jest", "npx jest", "npx jest --json --outputFile=/r"),
        ("go", "go test -json ./...", "go test -json ./..."),
        ("trx", "dotnet test --logger trx;LogFileName={proof}", "dotnet test --logger trx;LogFileName=/r"),
    ],
)
def test_the_report_of_a_command(name: str, run: str, command: str) -> None:
    assert command_with_report(name, run.split(), "/r") == tuple(command.split())
