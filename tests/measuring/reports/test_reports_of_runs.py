"""Runs of the tests of any project: their reports, admitted failures, exit statuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from git_planner.flows.records.record import record_commit
from git_planner.rules.measuring.correctness_report import EXIT_STATUS_NOTE
from git_planner.rules.policy.parse import policy_problems
from git_planner.rules.records.record import Record
from tests.support.lab import Lab

TAP = "echo 'TAP version 13'; echo '1..3'; cat results/* ; exit ${STATUS:-0}"
PASSED = "ok 1 - adds\nok 2 - divides\nok 3 - is slow\n"


def policy(**correctness: Any) -> str:
    """Return a policy without metrics."""
    lines = "".join(f"  {key}: {value}\n" for key, value in correctness.items())
    return f"schema: git-planner/policy@1\nguard: [check.sh]\ncorrectness:\n  timeout: 20\n{lines}"


def recorded(lab: Lab, ref: str = "HEAD") -> Record:
    """Record a commit without progress."""
    return record_commit(lab.repo, ref, progress=lambda _: None).record


def test_a_makefile_is_enough(lab: Lab) -> None:
    text = policy(run="[sh, check.sh]", proof="exit-status")
    lab.commit("base", {".git-planner.yml": text, "check.sh": "test ! -e broken\n"})
    base = recorded(lab)
    assert (base.verdict, base.summary) == ("baseline", "the tests passed; the policy has no metric")
    assert (base.tests, base.notes) == (None, (EXIT_STATUS_NOTE,))
    lab.git("switch", "-q", "-c", "topic")
    lab.commit("broken", {"broken": ""})
    broken = recorded(lab)
    assert (broken.verdict, broken.reason) == ("invalid", "incorrect")
    assert broken.summary == "tests failed: the command ended with status 1"
    lab.git("rm", "-q", "broken")
    lab.commit("mended", {"other": ""})
    assert recorded(lab).verdict == "within_noise"


@pytest.mark.parametrize(("status", "verdict"), [(0, "baseline"), (5, "baseline"), (6, "invalid")])
def test_accepted_exit_statuses(lab: Lab, status: int, verdict: str) -> None:
    text = policy(run="[sh, check.sh]", proof="exit-status", exit_statuses="[0, 5]")
    lab.commit("base", {".git-planner.yml": text, "check.sh": f"exit {status}\n"})
    assert recorded(lab).verdict == verdict


def test_tests_that_may_fail_do_not_count_and_lost_ones_do(lab: Lab) -> None:
    text = policy(run="[sh, check.sh]", proof="tap", may_fail="['is slow']")
    files = {".git-planner.yml": text, "check.sh": TAP, "results/a": PASSED}
    lab.commit("base", files)
    base = recorded(lab)
    assert base.tests is not None
    assert (base.verdict, base.tests.passed) == ("baseline", 3)
    lab.git("switch", "-q", "-c", "topic")
    lab.commit("slow", {"results/a": PASSED.replace("ok 3", "not ok 3")})
    slow = recorded(lab)
    assert (slow.verdict, slow.notes) == ("within_noise", ("1 tests failed that may fail: 'is slow'",))
    lab.commit("fails", {"results/a": PASSED.replace("ok 2", "not ok 2")})
    assert recorded(lab).summary == "tests failed: 1 of 3 failed: 'divides'"
    lab.commit("skips", {"results/a": PASSED.replace("divides", "divides # SKIP")})
    assert recorded(lab).summary == (
        "fewer tests were collected than before: 1 tests were skipped that ran before: 'divides';"
        " 1 of 3 tests skipped"
    )
    lab.commit("renames", {"results/a": PASSED.replace("divides", "other")})
    assert recorded(lab).reason == "tests_shrank"


def test_ids_of_tests_hold_no_keys_and_those_of_the_policy_are_found(lab: Lab) -> None:
    known, other, third = (f"ghp_{letter * 36}" for letter in "abc")
    text = policy(run="[sh, check.sh]", proof="tap", require=f"['login {known}']")
    report = f"ok 1 - login {known}\nok 2 - login {other}\nok 3 - login {third}\n"
    lab.commit("base", {".git-planner.yml": text, "check.sh": TAP, "results/a": report})
    base = recorded(lab)
    assert base.tests is not None
    assert (base.verdict, base.tests.passed) == ("baseline", 3)
    masked = "login [redacted:github-token]"
    tests = json.loads(lab.show(f"plan/default:experiments/tests/{base.tests.ids}.json"))
    assert tests["passed"] == sorted((f"login {known}", masked, f"{masked} № 2"))
    lab.git("switch", "-q", "-c", "topic")
    lab.commit("lost", {"results/a": report.replace("ok 3", "not ok 3 # SKIP")})
    assert recorded(lab).reason == "tests_shrank"


def test_reports_that_the_command_leaves_in_the_tree(lab: Lab) -> None:
    case = '<testsuite><testcase classname="m" name="{}"/></testsuite>'
    text = policy(run="[sh, check.sh]", proof="junit", report="out/*.xml")
    script = "mkdir -p out\n" + "".join(f"echo '{case.format(name)}' > out/{name}.xml\n" for name in "ab")
    lab.commit("base", {".git-planner.yml": text, "check.sh": script})
    base = recorded(lab)
    assert base.tests is not None
    assert (base.verdict, base.tests.passed) == ("baseline", 2)
    # A report that the commit brings with it is none.
    lab.git("switch", "-q", "-c", "topic")
    lab.commit("forged", {"out/c.xml": case.format("c"), "value": "1"})
    forged = recorded(lab)
    assert forged.tests is not None
    assert (forged.verdict, forged.tests.passed) == ("within_noise", 2)


def test_a_link_is_no_report(lab: Lab) -> None:
    text = policy(run="[sh, check.sh]", proof="junit", report="'out/*.xml'")
    lab.commit("base", {".git-planner.yml": text, "check.sh": "mkdir out; ln -s /etc/hostname out/a.xml\n"})
    sentence = "no proof that the tests ran: the tests left no report: no file matches 'out/*.xml'"
    assert recorded(lab).summary == sentence


def test_what_needs_a_report_is_refused_with_an_exit_status() -> None:
    correctness = {"run": ["sh", "{proof}"], "proof": "exit-status", "require": ["a"], "may_fail": ["b"]}
    assert policy_problems({"schema": "git-planner/policy@1", "correctness": correctness}) == [
        "/correctness/require: needs a report of the tests, and the proof is 'exit-status'",
        "/correctness/may_fail: needs a report of the tests, and the proof is 'exit-status'",
        "/correctness/run: has '{proof}', but the proof 'exit-status' has no report",
    ]
