"""The last lines of the first failing test, in the output of many runners."""

from __future__ import annotations

import pytest

from git_planner.flows.records.record import record_commit
from git_planner.rules.measuring.failure_excerpt import MAX_LINES, failure_excerpt
from tests.support.benchmark_project import attempt, project
from tests.support.lab import Lab

PYTEST = """\
.FF                                                              [100%]
=================================== FAILURES ===================================
_________________________________ test_two[a] __________________________________

    def test_two():
>       assert 1 == 2
E       assert 1 == 2

tests/test_a.py:5: AssertionError
__________________________________ test_three __________________________________
>       assert 0
=========================== short test summary info ============================
FAILED tests/test_a.py::test_two[a] - assert 1 == 2
"""
UNITTEST = """\
test_a (m.C.test_a) ... FAIL

======================================================================
FAIL: test_a (m.C.test_a)
----------------------------------------------------------------------
Traceback (most recent call last):
AssertionError: 1 != 2

----------------------------------------------------------------------
Ran 1 test in 0.001s
"""
CARGO = """\
test breaks ... FAILED

failures:

---- breaks stdout ----
thread 'breaks' panicked at tests/whole.rs:2:23:
no

failures:
    breaks
"""
TAP = """\
ok 1 - adds
not ok 2 - divides
  ---
  operator: equal
  ...
ok 3 - other
"""


@pytest.mark.parametrize(
    ("output", "test", "lines"),
    [
        (
            PYTEST,
            "tests.test_a::test_two[a]",
            (
                *("    def test_two():", ">       assert 1 == 2", "E       assert 1 == 2"),
                "tests/test_a.py:5: AssertionError",
            ),
        ),
        (UNITTEST, "m.C.test_a", ("Traceback (most recent call last):", "AssertionError: 1 != 2")),
        (CARGO, "breaks", ("thread 'breaks' panicked at tests/whole.rs:2:23:", "no")),
        (TAP, "divides", ("  operator: equal",)),
        ("hello\n\nfailed badly\n", "other", ("hello", "failed badly")),
        ("hello\n", None, ("hello",)),
    ],
)
def test_what_was_printed_about_a_test(output: str, test: str | None, lines: tuple[str, ...]) -> None:
    assert failure_excerpt(output, "", test) == lines
    assert failure_excerpt("", output, test) == lines


def test_the_details_of_tap_show_the_error_and_no_frames_of_the_runtime() -> None:
    frames = "".join(f"    Test.run (node:internal/test_runner/test:{number}:25)\n" for number in range(12))
    details = (
        "  location: '/measured/tree/test/a.test.js:2:1'",
        "  error: '-1 == 3'",
        "  expected: 3",
        "  actual: -1",
        "  stack: |-",
        "    TestContext.<anonymous> (/measured/tree/test/a.test.js:2:19)",
    )
    shown = "\n".join(details)
    output = (
        f"# Subtest: adds\nnot ok 1 - adds\n  ---\n{shown}\n{frames}  ...\n# Subtest: adds more\nok 2 - x\n"
    )
    assert failure_excerpt(output, "", "adds") == details


def test_excerpts_are_short_and_quickly_found() -> None:
    output = "".join(f"not ok {number} - x {'y' * 300}\n  {number}\n" for number in range(20_000))
    lines = failure_excerpt(output, "", None)
    assert (len(lines), max(map(len, lines))) == (MAX_LINES, 200)
    assert failure_excerpt("_" * 200_000, "", "x") == ("_" * 200,)


def test_a_failing_record_shows_why(lab: Lab) -> None:
    project(lab)
    record_commit(lab.repo, "main", progress=lambda _: None)
    attempt(lab, 1, "-1")
    done = lab.run("git-record")
    lines = done.out.splitlines()
    output = next(place for place, line in enumerate(lines) if line.startswith("  output  "))
    assert lines[0].startswith("invalid: tests failed: 1 of 2 failed: ")
    assert lines[output + 1] == "  | Traceback (most recent call last):"
    assert lines[-1] == "  | AssertionError: -1 not greater than 0"
