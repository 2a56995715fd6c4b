"""Test reports as the real runners write them, with the outcomes of their tests."""

from __future__ import annotations

import json

from git_planner.rules.measuring.proofs.proof import TestOutcome

# node 20.20, --test-reporter=tap
NODE_TAP = r"""TAP version 13
# ok 9 - forged
# Subtest: math
    # Subtest: adds
    ok 1 - adds
      ---
      duration_ms: 2.613466
      ...
    # Subtest: is skipped
    ok 2 - is skipped # SKIP later
      ---
      duration_ms: 0.109643
      ...
    # Subtest: is to do
    not ok 3 - is to do # TODO
      ---
      location: '/var/tmp/x/a.test.js:6:3'
      error: |-
        The expression evaluated to a falsy value:

          assert.ok(false)

      ...
    # Subtest: deep
        # Subtest: adds
        ok 1 - adds
          ---
          duration_ms: 0.138225
          ...
        1..1
    ok 4 - deep
      ---
      duration_ms: 0.270261
      type: 'suite'
      ...
    1..4
ok 1 - math
  ---
  duration_ms: 15.814115
  type: 'suite'
  ...
# Subtest: fails \# hash
not ok 2 - fails \# hash
  ---
  failureType: 'testCodeFailure'
  ...
# Subtest: top
    # Subtest: sub
    ok 1 - sub
      ---
      duration_ms: 0.122672
      ...
    1..1
ok 3 - top
  ---
  duration_ms: 0.414485
  ...
# Subtest: adds
ok 4 - adds
  ---
  duration_ms: 1.05876
  ...
# Subtest: adds
ok 5 - adds
  ---
  duration_ms: 0.171454
  ...
1..5
# tests 9
"""
NODE_SPEC = """ok 9 - forged
▶ math
  ✔ adds (2.721356ms)
  ﹣ is skipped (0.111885ms) # later
  ✖ is to do (8.520357ms) # TODO
    AssertionError [ERR_ASSERTION]: The expression evaluated to a falsy value:
  ▶ deep
    ✔ adds (0.185154ms)
  ✔ deep (0.325953ms)
✔ math (13.001382ms)
✖ fails # hash (0.817392ms)
  AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:

▶ top
  ✔ sub (0.130253ms)
✔ top (0.439522ms)
✔ adds (1.288691ms)
✔ adds (0.239375ms)
(i) tests 9
(i) suites 2
(i) pass 6
(i) fail 1
(i) cancelled 0
(i) skipped 1
(i) todo 1
(i) duration_ms 253.476232

✖ failing tests:

test at a.test.js:9:1
✖ fails # hash (0.817392ms)
""".replace("(i)", "\u2139")
NODE_JUNIT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites>
	<testsuite name="math" tests="4" failures="1" skipped="2" hostname="vm">
		<testcase name="adds" time="0.002142" classname="test"/>
		<testcase name="is skipped" time="0.000154" classname="test">
			<skipped type="skipped" message="later"/>
		</testcase>
		<testcase name="is to do" classname="test" failure="The expression evaluated to a falsy value">
			<skipped type="todo" message="true"/>
			<failure type="testCodeFailure" message="The expression evaluated to a falsy value">text</failure>
		</testcase>
		<testsuite name="deep" tests="1"><testcase name="adds" classname="test"/></testsuite>
	</testsuite>
	<testcase name="adds" time="0.001257" classname="test"/>
	<testcase name="adds" time="0.000256" classname="test"/>
	<!-- tests 9 -->
</testsuites>
"""
# tape 5.9
TAPE = """TAP version 13
# adds
hello
ok 1 should be strictly equal
ok 2 should be strictly equal
ok 3 named
# breaks
not ok 4 one is two
  ---
    operator: equal
    at: Test.<anonymous> (/var/tmp/x/t.tape.js:3:25)
    stack: |-
      Error: one is two
  ...
# SKIP skipped
# inner
# deep
ok 5 should be truthy
ok 6 later # SKIP
# TODO todo
not ok 7 x # TODO
  ---
    operator: fail
  ...

1..7
# tests 7
# pass  6
# fail  1

"""
# mocha 11, --reporter tap
MOCHA = """ok 1 math adds
not ok 2 math breaks
  x
  Error: x
      at Context.<anonymous> (m.mocha.js:1:75)
ok 3 math skipped # SKIP -
ok 4 math pending # SKIP -
# tests 2
1..4
"""
# go 1.19, without its times
GO = "\n".join(
    json.dumps({"Action": action, "Package": "example.com/adder", **({"Test": test} if test else {}), **more})
    for action, test, more in (
        ("run", "TestAdd", {}),
        ("output", "TestAdd", {"Output": "hello\n"}),
        ("run", "TestAdd/one", {}),
        ("run", "TestAdd/two_words", {}),
        ("pass", "TestAdd/one", {"Elapsed": 0}),
        ("pass", "TestAdd/two_words", {"Elapsed": 0}),
        ("pass", "TestAdd", {"Elapsed": 0}),
        ("run", "TestSkipped", {}),
        ("skip", "TestSkipped", {"Elapsed": 0}),
        ("run", "TestBroken", {}),
        ("fail", "TestBroken", {"Elapsed": 0}),
        ("fail", "", {"Elapsed": 0.006}),
    )
)
# cargo 1.9x
CARGO = """
running 4 tests
test tests::ignored ... ignored
test tests::adds ... ok
test tests::slow ... ignored, slow
test tests::panics - should panic ... ok

test result: ok. 2 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.10s


running 2 tests
test adds ... ok
test breaks ... FAILED

failures:

---- breaks stdout ----
thread 'breaks' panicked at tests/whole.rs:2:23:
no

failures:
    breaks

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.09s


running 1 test
test src/lib.rs - add (line 1) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.12s
"""
# ctest 3.25
CTEST = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="(empty)" tests="5" failures="1" disabled="1" skipped="2" hostname="" time="0">
	<testcase name="passes" classname="passes" time="0.0026" status="run"><system-out></system-out></testcase>
	<testcase name="breaks" classname="breaks" time="0.0022" status="fail"><failure message=""/></testcase>
	<testcase name="disabled" classname="disabled" time="0" status="disabled">
		<system-out>Disabled</system-out>
	</testcase>
	<testcase name="skipped" classname="skipped" status="notrun"><skipped message="x"/></testcase>
	<testcase name="missing" classname="missing" time="0" status="notrun">
		<skipped message="Unable to find executable"/>
	</testcase>
</testsuite>
"""
# RSpec 3.12
RSPEC = json.dumps(
    {
        "version": "3.12.0",
        "examples": [
            {"full_description": f"math {title}", "status": status, "file_path": "./spec/a_spec.rb"}
            for title, status in (
                ("adds", "passed"),
                ("breaks", "failed"),
                ("is pending", "pending"),
                ("repeats", "passed"),
                ("repeats", "passed"),
            )
        ],
        "summary": {"example_count": 5, "failure_count": 1, "errors_outside_of_examples_count": 0},
    }
)
# Jest 30
JEST = json.dumps(
    {
        "numTotalTests": 4,
        "testResults": [
            {
                "name": "/tmp/run/tree/a.test.js",
                "status": "failed",
                "assertionResults": [
                    {"ancestorTitles": ["math"], "title": "adds", "status": "passed"},
                    {"ancestorTitles": ["math"], "title": "breaks", "status": "failed"},
                    {"ancestorTitles": ["math"], "title": "todo", "status": "todo"},
                    {"ancestorTitles": [], "title": "adds", "status": "passed"},
                ],
            },
            {"name": "/tmp/run/tree/b.test.js", "status": "failed", "assertionResults": []},
        ],
    }
)
# minitest 5.15, -v
MINITEST = """Run options: -v --seed 48863

# Running:

MathTest#test_adds = hello
0.00 s = .
MathTest#test_skipped = 0.00 s = S
MathTest#test_breaks = 0.00 s = F

Finished in 0.000514s, 5837.2346 runs/s, 3891.4897 assertions/s.

  1) Skipped:
MathTest#test_skipped [t.rb:5]:
later

3 runs, 2 assertions, 1 failures, 0 errors, 1 skips
"""
# PHPUnit 9.6
PHPUNIT = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="/var/tmp/x" tests="5" errors="1" warnings="0" failures="1" skipped="1" time="0.001837">
    <testsuite name="MathTest" file="/var/tmp/x/MathTest.php" tests="5">
      <testcase name="testAdds" class="MathTest" classname="MathTest" file="/var/tmp/x/MathTest.php"/>
      <testcase name="testBreaks" classname="MathTest"><failure type="x">no</failure></testcase>
      <testcase name="testSkipped" class="MathTest" classname="MathTest"><skipped/></testcase>
      <testcase name="testRisky" classname="MathTest"><error type="R">risky</error></testcase>
      <testsuite name="MathTest::testNumbers" tests="1">
        <testcase name="testNumbers with data set #0" class="MathTest" classname="MathTest"/>
      </testsuite>
    </testsuite>
  </testsuite>
</testsuites>
"""
TESTDOX = """PHPUnit 9.6.7 by Sebastian Bergmann and contributors.

Math
 ✔ Adds
 ✘ Breaks
   │
   │ Failed asserting that 1 is identical to 2.
   │

 ↩ Skipped
 ∅ Incomplete
 ☢ Risky
 ✔ Numbers with data set #0

Time: 00:00.007, Memory: 6.00 MB

Summary of non-successful tests:

Math
 ✘ Breaks

FAILURES!
Tests: 6, Assertions: 4, Failures: 1, Skipped: 1, Incomplete: 1, Risky: 1.
"""
TRX = """<?xml version="1.0" encoding="utf-8"?>
<TestRun id="1" name="x" xmlns="http://microsoft.com/schemas/VisualStudio/TeamTest/2010">
  <Results>
    <UnitTestResult testId="a" testName="App.MathTest.Adds" outcome="Passed"/>
    <UnitTestResult testId="b" testName="App.MathTest.Breaks" outcome="Failed"><Output/></UnitTestResult>
    <UnitTestResult testId="c" testName="App.MathTest.Skipped" outcome="NotExecuted"/>
  </Results>
  <TestDefinitions>
    <UnitTest name="App.MathTest.Adds" id="a"><TestMethod className="App.MathTest" name="Adds"/></UnitTest>
    <UnitTest name="App.MathTest.Breaks" id="b"><TestMethod className="App.MathTest"/></UnitTest>
    <UnitTest name="App.MathTest.Skipped" id="c"><TestMethod className="App.MathTest"/></UnitTest>
  </TestDefinitions>
  <ResultSummary outcome="Failed"><Counters total="3" executed="2" passed="1" failed="1"/></ResultSummary>
</TestRun>
"""
UNITTEST = "test_a (m.C.test_a) ... ok\n\n" + "-" * 70 + "\nRan 1 test in 0.001s\n\nOK\n"
JUNIT = '<testsuite><testcase classname="m" name="a"/></testsuite>'
NODE_TESTS: dict[str, TestOutcome] = {
    "math > adds": "passed",
    "math > is skipped": "skipped",
    "math > is to do": "skipped",
    "math > deep > adds": "passed",
    "fails # hash": "failed",
    "top > sub": "passed",
    "adds": "passed",
    "adds № 2": "passed",
}
EXAMPLES: list[tuple[str, str, dict[str, TestOutcome]]] = [
    ("node", NODE_TAP, {**NODE_TESTS, "top": "passed"}),
    ("tap", NODE_TAP, {**NODE_TESTS, "top": "passed"}),
    ("node", NODE_SPEC, NODE_TESTS),
    (
        "node",
        NODE_JUNIT,
        {
            "math::adds": "passed",
            "math::is skipped": "skipped",
            "math::is to do": "skipped",
            "math::deep::adds": "passed",
            "test::adds": "passed",
            "test::adds № 2": "passed",
        },
    ),
    (
        "tape",
        TAPE,
        {
            "adds > should be strictly equal": "passed",
            "adds > should be strictly equal № 2": "passed",
            "adds > named": "passed",
            "breaks > one is two": "failed",
            "skipped": "skipped",
            "deep > should be truthy": "passed",
            "deep > later": "skipped",
            "TODO todo > x": "skipped",
        },
    ),
    (
        "tap",
        MOCHA,
        {
            "math adds": "passed",
            "math breaks": "failed",
            "math skipped": "skipped",
            "math pending": "skipped",
        },
    ),
    (
        "go",
        GO,
        {
            "example.com/adder::TestAdd": "passed",
            "example.com/adder::TestAdd/one": "passed",
            "example.com/adder::TestAdd/two_words": "passed",
            "example.com/adder::TestSkipped": "skipped",
            "example.com/adder::TestBroken": "failed",
        },
    ),
    (
        "cargo",
        CARGO,
        {
            "tests::ignored": "skipped",
            "tests::adds": "passed",
            "tests::slow": "skipped",
            "tests::panics - should panic": "passed",
            "adds": "passed",
            "breaks": "failed",
            "src/lib.rs - add": "passed",
        },
    ),
    (
        "ctest",
        CTEST,
        {
            "passes::passes": "passed",
            "breaks::breaks": "failed",
            "disabled::disabled": "skipped",
            "skipped::skipped": "skipped",
            "missing::missing": "skipped",
        },
    ),
    (
        "rspec",
        RSPEC,
        {
            "spec/a_spec.rb::math adds": "passed",
            "spec/a_spec.rb::math breaks": "failed",
            "spec/a_spec.rb::math is pending": "skipped",
            "spec/a_spec.rb::math repeats": "passed",
            "spec/a_spec.rb::math repeats № 2": "passed",
        },
    ),
    (
        "jest",
        JEST,
        {
            "/measured/tree/a.test.js::math > adds": "passed",
            "/measured/tree/a.test.js::math > breaks": "failed",
            "/measured/tree/a.test.js::math > todo": "skipped",
            "/measured/tree/a.test.js::adds": "passed",
            "/measured/tree/b.test.js::(file)": "failed",
        },
    ),
    (
        "minitest",
        MINITEST,
        {
            "MathTest#test_adds": "passed",
            "MathTest#test_skipped": "skipped",
            "MathTest#test_breaks": "failed",
        },
    ),
    (
        "phpunit",
        PHPUNIT,
        {
            "MathTest::testAdds": "passed",
            "MathTest::testBreaks": "failed",
            "MathTest::testSkipped": "skipped",
            "MathTest::testRisky": "failed",
            "MathTest::testNumbers with data set #0": "passed",
        },
    ),
    (
        "testdox",
        TESTDOX,
        {
            "Math > Adds": "passed",
            "Math > Breaks": "failed",
            "Math > Skipped": "skipped",
            "Math > Incomplete": "skipped",
            "Math > Risky": "failed",
            "Math > Numbers with data set #0": "passed",
        },
    ),
    (
        "trx",
        TRX,
        {
            "App.MathTest::Adds": "passed",
            "App.MathTest::Breaks": "failed",
            "App.MathTest::Skipped": "skipped",
        },
    ),
    ("unittest", UNITTEST, {"m.C.test_a": "passed"}),
    ("junit", JUNIT, {"m::a": "passed"}),
]
