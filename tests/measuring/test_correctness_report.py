"""Test reports that are proof that the tests ran, and reports that are not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.rules.documents import canonical_json
from git_planner.rules.measuring.correctness_report import check_proof, skip_note
from git_planner.rules.measuring.proofs.proof import Proof, TestOutcome, proof_from
from git_planner.rules.measuring.proofs.registry import read_proof
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.records.record import TestCounts as Counts


def read_junit(report: bytes | None, places: Sequence[str] = ()) -> Proof | Refusal:
    return read_proof("junit", [] if report is None else [report], places)


def read_unittest(stderr: bytes, places: Sequence[str] = ()) -> Proof | Refusal:
    return read_proof("unittest", [stderr], places)


JUNIT = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" tests="4">
<testcase classname="tests.test_a.TestA" name="test_one" time="0.1"/>
<testcase classname="tests.test_a" name="test_two[x-1]"><skipped message="why"/></testcase>
<testcase classname="tests.test_a" name="test_two[x-2]"/>
<testcase classname="tests.test_b" name="test_three"><properties/><failure message="no">text</failure>
</testcase>
</testsuite></testsuites>
"""
OUTCOMES: dict[str, TestOutcome] = {
    "tests.test_a.TestA::test_one": "passed",
    "tests.test_a::test_two[x-1]": "skipped",
    "tests.test_a::test_two[x-2]": "passed",
    "tests.test_b::test_three": "failed",
}

UNITTEST = b"""test_one (tests.test_a.TestA.test_one) ... ok
test_two (tests.test_a.TestA.test_two)
A docstring. ... skipped 'why'
test_three (tests.test_a.TestA.test_three) ... noise of the test
more noise
ok
test_four (tests.test_a.TestA)
Older pythons show no name there ... ok

----------------------------------------------------------------------
Ran 4 tests in 0.001s

OK (skipped=1)
"""


def test_junit_outcomes_and_counts() -> None:
    proof = read_junit(JUNIT)
    assert proof == Proof(OUTCOMES)
    assert isinstance(proof, Proof)
    document = {
        "schema": "git-planner/tests@1",
        "passed": ["tests.test_a.TestA::test_one", "tests.test_a::test_two[x-2]"],
        "failed": ["tests.test_b::test_three"],
        "skipped": ["tests.test_a::test_two[x-1]"],
    }
    assert proof.document() == document
    assert proof.tests == Counts(4, 2, 1, 1, canonical_json.digest(document))


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (None, "the tests left no report"),
        (b"", "the report is not complete XML (no element found: line 1, column 0)"),
        (JUNIT[:-20], "the report is not complete XML (unclosed token: line 8, column 0)"),
        (b"<testsuite/>", "the report has no test"),
        (b"<html/>", "the report is not complete XML (it starts with 'html')"),
        (
            b'<!DOCTYPE x [<!ENTITY a "b">]><testsuite/>',
            "the report has a document type, which is not allowed",
        ),
        (
            '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x><testsuite/>'.encode("utf-16"),
            "the report has a document type, which is not allowed",
        ),
        (
            b'<?xml version="1.0" encoding="nonsense"?><testsuite/>',
            "the report is not complete XML (unknown encoding: nonsense)",
        ),
        (
            b"<testsuite>" + b"x" * (64 * 1024 * 1024),
            "the report has 67,108,875 bytes; at most 67,108,864 are read",
        ),
    ],
)
def test_what_is_no_report(report: bytes | None, sentence: str) -> None:
    assert read_junit(report) == Refusal("no_proof", sentence)


@given(st.binary(max_size=300))
def test_any_bytes_are_answered(data: bytes) -> None:
    assert isinstance(read_junit(data), Refusal | Proof)
    assert isinstance(read_unittest(data), Refusal | Proof)


@given(st.integers(0, len(JUNIT) - 2))
def test_every_truncation_is_no_proof(end: int) -> None:
    assert isinstance(read_junit(JUNIT[:end].rstrip()), Refusal)


def test_an_entity_is_not_expanded() -> None:
    report = b'<testsuite><testcase classname="&a;" name="x"/></testsuite>'
    assert read_junit(report) == Refusal(
        "no_proof", "the report is not complete XML (undefined entity: line 1, column 11)"
    )


def junit(*cases: str) -> bytes:
    """A report with the given test cases."""
    return f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>".encode()


def case(name: str, inside: str = "", classname: str = "test", **attributes: str) -> str:
    """A test case of a report; node's reporter gives every test the class 'test'."""
    more = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<testcase name="{name}" classname="{classname}"{more}>{inside}</testcase>'


def test_tests_of_one_id_are_all_counted() -> None:
    twice = read_junit(junit(case("b", "<error/>"), case("b")))
    assert twice == Proof({"test::b": "passed", "test::b № 2": "failed"})
    before = read_junit(junit(case("a"), case("b"), case("b", "<skipped/>"), case("b № 2")))
    assert isinstance(before, Proof)
    assert before.outcomes == {
        "test::a": "passed",
        "test::b": "passed",
        "test::b № 2": "passed",
        "test::b № 3": "skipped",
    }
    # The order of equal ids is the runner's own affair; that one of them is gone is not.
    other_order = read_junit(junit(case("b", "<skipped/>"), case("b № 2"), case("a"), case("b")))
    assert other_order == before
    fewer = read_junit(junit(case("a"), case("b"), case("b № 2")))
    assert isinstance(fewer, Proof)
    assert check_proof(fewer, status=0, require=[], before=before) == Refusal(
        "tests_shrank", "1 tests were not collected: 'test::b № 3'"
    )
    skipping = read_junit(junit(case("a"), case("b", "<skipped/>"), case("b", "<skipped/>"), case("b № 2")))
    assert isinstance(skipping, Proof)
    assert check_proof(skipping, status=0, require=[], before=before) == Refusal(
        "tests_shrank", "1 tests were skipped that ran before: 'test::b'"
    )


def test_a_required_test_must_pass_under_all_its_numbers() -> None:
    proof = read_junit(junit(case("b"), case("b", "<skipped/>"), case("c")))
    assert isinstance(proof, Proof)
    assert check_proof(proof, status=0, require=["test::b"]) == Refusal(
        "no_proof", "required tests did not pass: 'test::b'"
    )
    assert check_proof(proof, status=0, require=["test::c"]) is None


def test_unittest_counts_tests_of_one_id() -> None:
    line, rule = "test_a (m.C.test_a) ... ok\n", "-" * 70
    proof = read_unittest(f"{line}{line}{rule}\nRan 2 tests in 0.1s\n".encode())
    assert proof == Proof({"m.C.test_a": "passed", "m.C.test_a № 2": "passed"})


@pytest.mark.parametrize(
    ("attributes", "inside", "outcome"),
    [
        # Googletest, CTest, QtTest, allure and others.
        ({"status": "run", "result": "completed"}, "", "passed"),
        ({"status": "run"}, "", "passed"),
        ({"result": "pass"}, "", "passed"),
        ({"status": "notrun", "result": "suppressed"}, "", "skipped"),
        ({"status": "run", "result": "skipped"}, "", "skipped"),
        ({"status": "notrun"}, "", "skipped"),
        ({"status": "Disabled"}, "", "skipped"),
        ({"status": "inconclusive"}, "", "skipped"),
        ({"status": "fail"}, "", "failed"),
        ({"status": "broken"}, "", "failed"),
        ({"status": "disabled"}, "<failure/>", "failed"),
        ({}, "<disabled/>", "skipped"),
        ({}, "<ignored/>", "skipped"),
        ({}, "<rerunFailure/>", "failed"),
        ({}, "<flakyFailure/>", "passed"),
    ],
)
def test_only_what_ran_passed(attributes: dict[str, str], inside: str, outcome: TestOutcome) -> None:
    proof = read_junit(junit(case("a", inside, **attributes)))
    assert proof == Proof({"test::a": outcome})
    assert isinstance(proof, Proof)
    assert (check_proof(proof, status=0, require=["test::a"]) is None) == (outcome == "passed")


def test_a_test_within_a_test_does_not_lend_it_its_outcome() -> None:
    proof = read_junit(junit(case("outer", f"<failure/>{case('inner')}")))
    assert proof == Proof({"test::inner": "passed", "test::outer": "failed"})


def test_ids_do_not_depend_on_the_folder_of_the_run() -> None:
    place = "/tmp/git-planner-a1b2"
    report = junit(case(f"{place}/tree/a.test.js", classname="file://" + place), case("x", classname="tmp.y"))
    assert read_junit(report, [place]) == Proof(
        {"file:///measured::/measured/tree/a.test.js": "passed", "tmp.y::x": "passed"}
    )
    dotted = junit(case("x", classname="tmp.git-planner-a1b2.tree.tests.test_a"))
    assert read_junit(dotted, [place]) == Proof({"measured.tree.tests.test_a::x": "passed"})
    real = junit(case("/private/tmp/git-planner-a1b2/tree/a.test.js"))
    assert read_junit(real, [place, "/private" + place]) == Proof(
        {"test::/measured/tree/a.test.js": "passed"}
    )
    # As in the sandbox, where the folder has that name.
    inside = junit(case("/measured/tree/a.test.js", classname="file:///measured"))
    assert set(read_junit(inside).outcomes) < set(read_junit(report, [place]).outcomes)  # type: ignore[union-attr]


def test_a_growth_of_skips_is_told() -> None:
    before = Proof({"a": "passed", "b": "skipped"})
    assert skip_note(before, None) is None
    assert skip_note(before, before) is None
    assert skip_note(Proof({"a": "passed", "b": "skipped", "c": "skipped"}), before) == (
        "2 tests are skipped, 1 more than in the baseline: 'c'"
    )


def test_unittest_outcomes() -> None:
    assert read_unittest(UNITTEST) == Proof(
        {
            "tests.test_a.TestA.test_one": "passed",
            "tests.test_a.TestA.test_two": "skipped",
            "tests.test_a.TestA.test_three": "passed",
            "tests.test_a.TestA.test_four": "passed",
        }
    )


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("... ok", "passed"),
        ("... FAIL", "failed"),
        ("... ERROR", "failed"),
        ("... expected failure", "skipped"),
        ("... unexpected success", "failed"),
        ('... skipped "it\'s late"', "skipped"),
        ("... \n  test_x (m.C.test_x) (i=1) ... FAIL\n", "failed"),
    ],
)
def test_unittest_words(line: str, outcome: TestOutcome) -> None:
    rule = "-" * 70
    text = f"test_x (m.C.test_x) {line}\n\n{rule}\nRan 1 test in 0.000s\n\nOK\n"
    assert read_unittest(text.encode()) == Proof({"m.C.test_x": outcome})


def test_a_failing_class_setup_is_a_failure() -> None:
    rule, double = "-" * 70, "=" * 70
    text = (
        f"setUpClass (tests.test_a.TestA) ... ERROR\n\n{double}\nERROR: setUpClass (tests.test_a.TestA)\n"
        f"{rule}\nTraceback\n\n{rule}\nRan 0 tests in 0.000s\n\nFAILED (errors=1)\n"
    )
    assert read_unittest(text.encode()) == Refusal("no_proof", "no test ran")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "unittest's line 'Ran N tests' appears 0 times, not once"),
        ("Ran 0 tests in 0.000s\n\nOK\n", "no test ran"),
        (
            "Ran 1 test in 0.1s\nRan 1 test in 0.1s\n",
            "unittest's line 'Ran N tests' appears 2 times, not once",
        ),
        (".\n" + "-" * 70 + "\nRan 1 test in 0.000s\n\nOK\n", "no test ran"),
        (
            "test_a (m.C.test_a) ... ok\n" + "-" * 70 + "\nRan 2 tests in 0.000s\n",
            "unittest ran 2 tests but 1 can be read from its output",
        ),
        (
            "test_a (m.C.test_a) ... \nRan 1 test in 0.000s\n",
            "the outcome of 'test_a (m.C.test_a)' is unclear",
        ),
    ],
)
def test_what_is_no_proof_of_unittest(text: str, sentence: str) -> None:
    assert read_unittest(text.encode()) == Refusal("no_proof", sentence)


PASSED = Proof(
    {"tests.test_a.T::one": "passed", "tests.test_a::two[1]": "passed", "tests.test_a::two[2]": "passed"}
)


@pytest.mark.parametrize(
    "required",
    [
        "tests/test_a.py::T::one",
        "tests.test_a.T.one",
        "tests.test_a.T::one",
        "tests/test_a.py::two[1]",
        "tests/test_a.py::two",
    ],
)
def test_required_tests_in_any_spelling(required: str) -> None:
    assert check_proof(PASSED, status=0, require=[required]) is None


@pytest.mark.parametrize(
    "required", ["tests/test_a.py::T::renamed", "one", "tests/test_a.py", "tests/test_a.py::two[3]"]
)
def test_required_tests_that_are_missing(required: str) -> None:
    assert check_proof(PASSED, status=0, require=[required]) == Refusal(
        "no_proof", f"required tests did not pass: '{required}'"
    )


def test_judgements() -> None:
    one, two = Proof({"a::x": "passed", "a::y": "skipped"}), Proof({"a::x": "passed"})
    assert check_proof(one, status=0, require=[]) is None
    assert check_proof(one, status=1, require=[]) == Refusal(
        "incorrect", "no test failed, yet the command ended with status 1"
    )
    assert check_proof(one, status=0, require=["a.y"]) == Refusal(
        "no_proof", "required tests did not pass: 'a.y'"
    )
    assert check_proof(two, status=0, require=[], before=one) == Refusal(
        "tests_shrank", "1 tests were not collected: 'a::y'"
    )
    assert check_proof(
        one, status=0, require=[], before=Proof({"a::x": "passed", "a::y": "passed"})
    ) == Refusal("tests_shrank", "1 tests were skipped that ran before: 'a::y'")
    assert check_proof(one, status=0, require=[], before=two) is None
    assert check_proof(Proof({"a::y": "skipped"}), status=0, require=[]) == Refusal(
        "no_proof", "no test passed"
    )
    failing = Proof({f"a::{letter}": "failed" for letter in "wxyz"})
    assert check_proof(failing, status=0, require=[]) == Refusal(
        "incorrect", "4 of 4 failed: 'a::w', 'a::x', 'a::y' and 1 more"
    )


def test_a_proof_survives_its_document() -> None:
    proof = Proof(OUTCOMES)
    assert proof_from(proof.document()) == proof
