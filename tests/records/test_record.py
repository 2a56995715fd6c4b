"""Recording: what is measured, what is written, what is known already, and what moves."""

from __future__ import annotations

import json
from typing import Any

from git_planner.flows.guard.trusted_base import find_state
from git_planner.flows.records.ledger import LedgerReader, read_ledger
from git_planner.flows.records.query import compare_records
from git_planner.flows.records.record import record_commit, record_failure
from git_planner.flows.records.recorder import RecordResult
from git_planner.gitio import git as spawning
from git_planner.gitio.store import Message, Store
from git_planner.rules.documents import canonical_json
from git_planner.rules.records.ranking import pick_best
from git_planner.rules.records.record import Record
from tests.support.benchmark_project import BENCH, POLICY, TEST, attempt, iteration, project
from tests.support.lab import Lab


def measured(lab: Lab, ref: str = "HEAD", **options: Any) -> RecordResult:
    """Record without progress."""
    return record_commit(lab.repo, ref, progress=lambda _: None, **options)


def brief(rows: list[Record]) -> list[tuple[str, str, str | None, float | None, float | None]]:
    """What matters of some records."""
    return [(record.kind, record.verdict, record.reason, record.value, record.delta) for record in rows]


def test_the_base_is_measured_first_and_an_improvement_moves_the_best(lab: Lab) -> None:
    base = project(lab)
    tip = attempt(lab, 1, 90)
    with lab.undisturbed():
        result = measured(lab)
    assert (result.cached, result.advanced, result.tag, result.ledger, result.exit) == (
        False,
        True,
        "refs/tags/best/90-next-i1",
        "refs/heads/plan/default",
        0,
    )
    assert brief(read_ledger(lab.repo, "default")) == [
        ("baseline", "baseline", None, 100.0, None),
        ("attempt", "improved", None, 90.0, -10.0),
    ]
    assert read_ledger(lab.repo, "default")[1] == result.record
    refs = lab.refs()
    assert refs["refs/heads/iter/best"] == tip
    assert lab.git("rev-parse", "best/90-next-i1^{commit}") == tip
    assert lab.git("cat-file", "-t", "best/90-next-i1") == "tag"
    assert lab.git("log", "--format=%s", f"{base}..plan/default") == (
        "record improved: cycles 90 (-10 against 100)\nrecord baseline: cycles 100, the baseline"
    )
    assert lab.git("diff", "--name-status", base, "plan/default").splitlines() == [
        *(f"A\texperiments/records/{record.id}.json" for record in read_ledger(lab.repo, "default")),
        f"A\texperiments/tests/{result.record.tests.ids if result.record.tests else ''}.json",
    ]
    lab.fsck()


def test_the_record_says_where_it_comes_from(lab: Lab) -> None:
    base = project(lab)
    tip = attempt(lab, 1, 90)
    record = measured(lab, extra={"usage": {"planner_input": 3}, "notes": ["by hand"]}).record
    assert (record.commit, record.base, record.branch, record.iteration, record.slug) == (
        tip,
        base,
        "iter/0001-next",
        1,
        "next",
    )
    assert (record.strategy, record.hypothesis) == (("family:schedule", "bold"), "a smaller value is smaller")
    assert (record.files, record.violations) == (("src/value.py",), ())
    assert (record.usage, record.notes) == ({"planner_input": 3}, ("by hand",))
    assert record.metrics[0].samples == (90.0,)
    assert record.tests is not None
    assert (record.tests.collected, record.tests.passed) == (2, 2)
    assert lab.git("ls-tree", "-r", "--name-only", record.tree).splitlines() == [
        ".git-planner.yml",
        "README.md",
        "src/__init__.py",
        "src/frozen.py",
        "src/value.py",
        "tests/__init__.py",
        "tests/bench.py",
        "tests/test_value.py",
    ]
    assert lab.show(f"plan/default:experiments/tests/{record.tests.ids}.json") == (
        canonical_json.dumps(
            {
                "schema": "git-planner/tests@1",
                "passed": [
                    "tests.test_value.ValueTest.test_is_positive",
                    "tests.test_value.ValueTest.test_is_whole",
                ],
                "failed": [],
                "skipped": [],
            }
        ).decode()
    )


def test_a_record_says_which_tests_its_own_were_held_against(lab: Lab) -> None:
    shared = "import unittest\nclass Shared(unittest.TestCase):\n    def test_shared(self):\n        pass\n"
    project(lab, **{"src/cases.py": shared, "tests/test_value.py": "from src.cases import *\n" + TEST})
    attempt(lab, 1, 90)
    more = shared + "    def test_more(self):\n        pass\n"
    lab.commit("more tests of its own", {"src/cases.py": more})
    record = measured(lab).record
    baseline = read_ledger(lab.repo, "default")[0]
    assert baseline.tests is not None
    assert record.tests is not None
    assert (baseline.tests.collected, record.tests.collected, record.valid) == (3, 4, True)
    assert record.tests.ids != baseline.tests.ids == baseline.instrument_tests == record.instrument_tests
    assert compare_records(baseline, record).unlike is None
    other = record.with_(instrument_tests="0" * 64)
    assert "collected different tests" in str(compare_records(baseline, other).unlike)


def test_equal_and_worse_attempts_do_not_move_the_best(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, "100 + 0")
    assert brief([measured(lab).record]) == [("attempt", "within_noise", None, 100.0, 0.0)]
    assert lab.git("rev-parse", "iter/best") == lab.git("rev-parse", "main")
    attempt(lab, 2, 130)
    assert brief([measured(lab).record]) == [("attempt", "worse", None, 130.0, 30.0)]
    assert lab.git("rev-parse", "iter/best") == lab.git("rev-parse", "main")
    assert lab.git("tag", "--list") == ""


def test_the_best_is_advanced_only_forward(lab: Lab) -> None:
    project(lab)
    first = attempt(lab, 1, 90)
    attempt(lab, 2, 80)
    measured(lab, "iter/0001-next")
    result = measured(lab, "iter/0002-next")
    assert (result.record.verdict, result.advanced, result.tag) == ("improved", False, None)
    assert result.record.notes == (f"'iter/best' was not advanced: it was moved to '{first[:12]}' meanwhile",)
    assert lab.git("rev-parse", "iter/best") == first


def test_a_second_iteration_starts_from_the_first(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    measured(lab)
    second = attempt(lab, 2, 80, base="iter/best")
    result = measured(lab)
    assert (result.advanced, result.record.delta, result.record.files) == (True, -10.0, ("src/value.py",))
    assert lab.git("rev-parse", "iter/best") == second
    assert len(read_ledger(lab.repo, "default")) == 3


def test_without_advance_nothing_moves_and_a_later_call_makes_up_for_it(lab: Lab) -> None:
    project(lab)
    tip = attempt(lab, 1, 90)
    result = measured(lab, advance=False)
    assert (result.advanced, result.tag) == (False, None)
    assert "refs/heads/iter/best" not in lab.refs()
    again = measured(lab)
    assert (again.cached, again.advanced, again.record) == (True, True, result.record)
    assert lab.refs()["refs/heads/iter/best"] == tip
    assert len(read_ledger(lab.repo, "default")) == 2


def test_the_same_commit_is_recorded_once(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    result = measured(lab)
    before, spawned = lab.refs(), spawning.spawned
    again = measured(lab)
    assert spawning.spawned - spawned <= 40
    assert (again.cached, again.record, again.logs) == (True, result.record, result.logs)
    assert lab.refs() == before
    forced = measured(lab, force=True)
    assert (forced.cached, forced.record.id == result.record.id) == (False, False)
    assert (forced.record.verdict, forced.record.delta) == ("within_noise", 0.0)
    assert len(read_ledger(lab.repo, "default")) == 3


def test_the_same_tree_is_measured_once(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    first = measured(lab).record
    lab.commit("nothing", {})
    again = measured(lab)
    assert (again.cached, again.record.cached_from, again.record.metrics) == (True, first.id, first.metrics)
    assert (again.record.verdict, again.record.notes) == (
        "within_noise",
        (f"not measured again: '{first.id}' has the same tree",),
    )
    lab.commit("nothing again", {})
    assert measured(lab).record.cached_from == first.id


def test_a_failure_is_known_again_too_but_not_a_crash(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, -5)
    first = measured(lab).record
    assert (first.reason, first.summary) == (
        "incorrect",
        "tests failed: 1 of 2 failed: 'tests.test_value.ValueTest.test_is_positive'",
    )
    lab.commit("nothing", {})
    again = measured(lab)
    assert (again.cached, again.record.reason, again.record.summary) == (True, "incorrect", first.summary)
    attempt(lab, 2, "100\nimport sys\nif 'bench' in sys.argv[0]: sys.exit(3)")
    crashed = measured(lab)
    assert (crashed.record.verdict, crashed.record.reason, crashed.exit) == ("unmeasured", "crash", 4)
    assert crashed.record.summary == "the benchmark crashed: 'cycles' ended with status 3"
    assert (measured(lab).cached, len(read_ledger(lab.repo, "default"))) == (False, 5)


def test_a_commit_outside_of_iterations(lab: Lab) -> None:
    base = project(lab)
    lab.git("checkout", "-q", "-b", "topic")
    lab.commit("faster", {"src/value.py": "VALUE = 70\n"})
    result = measured(lab, "topic", plan="mine")
    assert (result.record.verdict, result.record.base, result.record.branch, result.record.iteration) == (
        "improved",
        base,
        "topic",
        None,
    )
    assert (result.ledger, result.advanced, result.tag) == ("refs/heads/plan/mine", False, None)
    assert "refs/heads/iter/best-mine" not in lab.refs()
    main = measured(lab, "main", plan="mine")
    assert (main.cached, main.record.kind) == (True, "baseline")


def test_a_changed_base_is_another_instrument(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    measured(lab)
    lab.git("checkout", "-q", "main")
    lab.commit("stricter", {"tests/test_value.py": TEST + "\n    def test_more(self):\n        pass\n"})
    attempt(lab, 2, 95)
    record = measured(lab).record
    assert (record.verdict, record.delta) == ("worse", 5.0)
    assert brief(read_ledger(lab.repo, "default"))[2:] == [
        ("baseline", "baseline", None, 100.0, None),
        ("attempt", "improved", None, 90.0, -10.0),
        ("attempt", "worse", None, 95.0, 5.0),
    ]


def test_a_longer_timeout_is_the_same_instrument(lab: Lab) -> None:
    project(lab)
    first = measured(lab, "main").record
    lab.commit("patience", {".git-planner.yml": POLICY.replace("timeout: 20", "timeout: 21")})
    lab.git("branch", "topic")
    second = measured(lab, "main").record
    assert second.instrument == first.instrument


def test_a_red_base_is_measured_twice_and_only_from_red_can_an_attempt_win(lab: Lab) -> None:
    project(lab, **{"src/value.py": "VALUE = -100\n"})
    attempt(lab, 1, 50)
    red = lab.run("git-record", "--json")
    assert red.status == 4
    assert json.loads(red.out)["record"]["summary"] == (
        "the base is red: tests failed: 1 of 2 failed: 'tests.test_value.ValueTest.test_is_positive'; "
        "with '--from-red' the first valid attempt becomes the best of a red base"
    )
    assert "refs/heads/iter/best" not in lab.refs()
    result = json.loads(lab.run("git-record", "--from-red", "--json").out)
    assert brief(read_ledger(lab.repo, "default")) == [
        ("baseline", "invalid", "incorrect", None, None),
        ("baseline", "invalid", "incorrect", None, None),
        ("attempt", "unmeasured", "red_base", None, None),
        ("attempt", "improved", None, 50.0, None),
    ]
    assert (result["advanced"], result["record"]["summary"]) == (True, "cycles 50, the first valid result")
    attempt(lab, 2, 60)
    assert measured(lab).record.verdict == "worse"


def test_a_base_that_crashed_is_measured_again_and_a_worse_attempt_does_not_win(lab: Lab) -> None:
    once = "import os, sys\nif not os.path.exists({0!r}): open({0!r}, 'w').close(); sys.exit(3)\n"
    # No jail, or the benchmark could not remember that it crashed.
    policy = POLICY + "jail: 'off'\n"
    project(lab, policy, **{"tests/bench.py": once.format(str(lab.root / "crashed")) + BENCH})
    attempt(lab, 1, 130)
    assert brief([measured(lab).record]) == [("attempt", "worse", None, 130.0, 30.0)]
    verdicts = [(record.kind, record.verdict) for record in read_ledger(lab.repo, "default")]
    assert verdicts == [("baseline", "unmeasured"), ("baseline", "baseline"), ("attempt", "worse")]


def test_a_threshold(lab: Lab) -> None:
    project(lab)
    iteration(lab, 1, "main", goal="threshold", threshold=90.0)
    lab.commit("enough", {"src/value.py": "VALUE = 90\n"})
    assert (measured(lab).record.threshold, measured(lab).record.threshold_met) == (90.0, True)
    lab.commit("too much", {"src/value.py": "VALUE = 91\n"})
    assert measured(lab).record.threshold_met is False


def test_repeats_of_a_noisy_metric(lab: Lab) -> None:
    noisy = POLICY.replace("kind: deterministic, repeats: 1", "kind: noisy, repeats: 3")
    policy = noisy.replace("[python, tests/bench.py]", '[sh, -c, "cat src/samples >&2; sh src/next"]')
    # Nothing that one run leaves behind is there for the next one, so the samples are all alike.
    script = "n=$(cat src/n 2>/dev/null || echo 0); echo $((n + 1)) >src/n; echo CYCLES: $((10 + n))\n"
    project(lab, policy, **{"src/next": script, "src/samples": "CYCLES: 1\n"})
    record = measured(lab, "main").record
    assert (record.metrics[0].samples, record.metrics[0].spread) == ((10.0, 10.0, 10.0), 0.0)


def test_failures_that_are_not_measured(lab: Lab) -> None:
    project(lab)
    state = iteration(lab, 1, "main")
    start = lab.git("rev-parse", "HEAD")

    def fail(reason: str, **more: Any) -> RecordResult:
        return record_failure(lab.repo, state, start, reason, progress=lambda _: None, **more)

    first = fail("no_change")
    assert (first.record.verdict, first.record.summary, first.exit) == (
        "invalid",
        "the implementer changed nothing",
        1,
    )
    assert fail("no_change").record == first.record
    guard = fail("guard", violations=("changed: tests/bench.py",), notes=("kept",)).record
    assert (guard.summary, guard.violations, guard.notes) == (
        "guarded paths changed: 'tests/bench.py'",
        ("changed: tests/bench.py",),
        ("kept",),
    )
    assert fail("timeout").exit == 124
    assert [record.reason for record in read_ledger(lab.repo, "default")] == ["no_change", "guard", "timeout"]


def test_the_cache_of_rows_may_be_wrong_or_gone(lab: Lab) -> None:
    project(lab)
    record = measured(lab, "main").record
    many = {
        f"experiments/records/{record.id[:-8]}{number:08d}.json": canonical_json.dumps(
            record.with_(id=f"{record.id[:-8]}{number:08d}").document()
        )
        for number in range(100)
    }
    Store(lab.repo).edit("refs/heads/plan/default", lambda _: many, Message("many"))
    rows = LedgerReader(lab.repo).read("default")
    cache = lab.repo.private("cache", "ledger.json")
    assert (len(rows), cache.exists()) == (101, True)
    assert rows == sorted(rows)
    for content in (b"", b"{}", b"\0", cache.read_bytes()[:-100], b'{"fields": [], "rows": {}}'):
        cache.write_bytes(content)
        assert LedgerReader(lab.repo).read("default") == rows
    top, whole = pick_best(rows), pick_best(read_ledger(lab.repo, "default"))
    assert top is not None
    assert whole is not None
    assert (top.id, top.value) == (whole.id, whole.value)


def test_find_state(lab: Lab) -> None:
    project(lab)
    assert find_state(lab.repo, "main") is None
    state = iteration(lab, 1, "main")
    assert find_state(lab.repo, "HEAD") == state
