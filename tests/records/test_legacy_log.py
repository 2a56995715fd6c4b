"""Rows of the older log: read as records and printed again; and the ledger's rows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.rules.documents import canonical_json
from git_planner.rules.records.legacy_log import record_from_row, row_from_record
from git_planner.rules.records.record import MeasuredMetric, Record
from git_planner.rules.records.record import TestCounts as Counts
from git_planner.rules.records.row import (
    find_baseline,
    find_named,
    find_same_commit,
    find_same_tree,
    next_id,
    row_from,
)
from tests.support.lab import Lab

ROW: dict[str, Any] = {
    "iteration_id": 5,
    "timestamp_utc": "2026-11-21T00:02:16Z",
    "branch": "iter/0005-next",
    "base_branch": "opt/best",
    "base_sha": "a" * 40,
    "head_sha": "b" * 40,
    "files_changed": ["perf_takehome.py"],
    "scope_disallowed_files": [],
    "scope_forbidden_files": [],
    "scope_ok": True,
    "tests_diff_empty": True,
    "valid": True,
    "new_best": True,
    "threshold_met": False,
    "correctness_pass": True,
    "cycles": 1441,
    "best_before": 1443,
    "delta_vs_best": -2,
    "strategy_tags": ["family:break_deps", "gather"],
    "hypothesis": "less waiting",
    "change_summary": ["gather first"],
    "result_summary": "PASS correctness; cycles=1441",
    "merged_to_main": False,
    "notes": "dirty worktree | lower the cycles",
}


def line(**changes: Any) -> bytes:
    return json.dumps({**ROW, **changes}, sort_keys=True).encode()


def test_a_row_becomes_a_record_and_a_row_again() -> None:
    record = record_from_row(line(), "log.jsonl:1", "default")
    assert (record.kind, record.verdict, record.reason, record.value, record.delta) == (
        "imported",
        "improved",
        None,
        1441.0,
        -2.0,
    )
    assert (record.iteration, record.slug, record.instrument) == (5, "next", None)
    assert record.id.startswith("20261121T000216Z-")
    assert (
        documents.validate("record", canonical_json.loads_trusted(canonical_json.dumps(record.document())))
        == []
    )
    assert row_from_record(record) == ROW


@pytest.mark.parametrize(
    ("changes", "verdict", "reason"),
    [
        ({"new_best": False, "delta_vs_best": 0}, "within_noise", None),
        ({"new_best": False, "delta_vs_best": 7}, "worse", None),
        ({"new_best": False, "best_before": None, "delta_vs_best": None}, "within_noise", None),
        ({"cycles": None}, "invalid", "no_metric"),
        ({"valid": False, "tests_diff_empty": False, "scope_ok": False}, "invalid", "guard"),
        ({"valid": False, "scope_ok": False}, "invalid", "scope"),
        ({"valid": False, "correctness_pass": False}, "invalid", "incorrect"),
        ({"valid": False, "correctness_pass": None}, "invalid", "no_proof"),
    ],
)
def test_verdicts_of_rows(changes: dict[str, Any], verdict: str, reason: str | None) -> None:
    record = record_from_row(line(**changes), "x", "default")
    assert (record.verdict, record.reason) == (verdict, reason)


def test_scope_files_come_back() -> None:
    changes = {
        "valid": False,
        "new_best": False,
        "scope_ok": False,
        "scope_forbidden_files": ["problem.py"],
        "scope_disallowed_files": ["x"],
        "correctness_pass": None,
    }
    record = record_from_row(line(**changes), "x", "default")
    assert record.violations == ("forbidden: problem.py", "not allowed: x")
    assert row_from_record(record) == {**ROW, **changes}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[]", "'log:3' is not an object"),
        (b"{}", "'log:3' has no 'timestamp_utc' such as '2026-11-21T00:02:16Z'"),
        (line(valid="yes"), "'log:3' has no 'valid' that is true or false"),
        (line(cycles="many"), "'log:3' has no number at 'cycles'"),
        (line(cycles=True), "'log:3' has no number at 'cycles'"),
        (line(timestamp_utc="2026-11-21"), "'log:3' has no 'timestamp_utc' such as '2026-11-21T00:02:16Z'"),
    ],
)
def test_lines_that_are_no_rows(text: bytes, message: str) -> None:
    with pytest.raises(PlannerError) as caught:
        record_from_row(text, "log:3", "default")
    assert (caught.value.code, caught.value.message) == ("E_JSON", message)


def test_what_is_odd_but_harmless() -> None:
    record = record_from_row(line(head_sha="(unknown)", iteration_id=None, branch=None, notes=None), "x", "p")
    assert (record.commit, record.iteration, record.branch, record.slug, record.notes) == (
        "",
        None,
        None,
        None,
        (),
    )
    assert row_from_record(record)["head_sha"] == "(unknown)"


def measured(record_id: str = "20261121T000216Z-aaaaaaaa", **changes: Any) -> Record:
    plain = record_from_row(line(), "x", "default")
    fields: dict[str, Any] = {
        "id": record_id,
        "kind": "attempt",
        "tree": "c" * 40,
        "instrument": "d" * 64,
        "environment_digest": "e" * 64,
        "metrics": (MeasuredMetric("cycles", "cycles", "lower", (7.0,), 7.0, 0.0),),
        "tests": Counts(2, 2, 0, 0, "f" * 64),
    }
    return plain.with_(**{**fields, **changes})


def test_rows_in_short() -> None:
    short = row_from(measured().document())
    assert (short.id, short.value, short.direction, short.tests, short.valid) == (
        "20261121T000216Z-aaaaaaaa",
        7.0,
        "lower",
        "f" * 64,
        True,
    )
    bare = row_from(measured(metrics=(), tests=None, verdict="invalid", reason="guard").document())
    assert (bare.value, bare.metric, bare.tests, bare.valid) == (None, None, None, False)


def test_lookups() -> None:
    rows = [
        row_from(
            measured("20261121T000000Z-aaaaaaaa", kind="baseline", commit="1" * 40, tree="2" * 40).document()
        ),
        row_from(measured("20261121T000001Z-bbbbbbbb").document()),
        row_from(measured("20261121T000002Z-cccccccc", verdict="unmeasured", reason="crash").document()),
        row_from(
            measured(
                "20261121T000003Z-dddddddd", verdict="invalid", reason="guard", environment_digest=None
            ).document()
        ),
    ]
    commit, instrument, environment = "b" * 40, "d" * 64, "e" * 64
    assert find_same_commit(rows, commit=commit, instrument=instrument, environment=environment) is rows[1]
    assert find_same_commit(rows, commit=commit, instrument="0" * 64, environment=environment) is None
    assert find_same_commit(rows, commit=commit, instrument=instrument, environment="0" * 64) is None
    assert (
        find_same_commit(rows, commit=commit, instrument=instrument, environment=None, reason="guard")
        is rows[3]
    )
    assert (
        find_same_commit(rows, commit=commit, instrument=instrument, environment=None, reason="scope") is None
    )
    assert find_same_tree(rows, tree="c" * 40, instrument=instrument, environment=environment) is rows[1]
    assert find_same_tree(rows[2:], tree="c" * 40, instrument=instrument, environment=environment) is None
    assert find_baseline(rows, instrument) is rows[0]
    assert find_baseline(rows[1:], instrument) is rows[1]
    assert find_baseline(rows, "0" * 64) is None
    assert find_named(rows, "20261121T000001Z-bbbbbbbb") == [rows[1]]
    assert find_named(rows, "cccc") == [rows[2]]
    assert find_named(rows, "20261121T00000") == rows


def test_a_new_id_sorts_last_whatever_the_clock_says() -> None:
    rows = [row_from(measured("20261121T235959Z-zzzzzzzz").document())]
    assert next_id(rows, "2026-11-21T10:00:00Z").startswith("20261122T000000Z-")
    assert next_id(rows, "2026-11-21T23:59:59Z").startswith("20261122T000000Z-")
    assert next_id(rows, "2026-11-23T10:00:00Z").startswith("20261123T100000Z-")
    assert next_id([], "2026-11-21T10:00:00Z").startswith("20261121T100000Z-")


def test_a_log_that_is_too_large_or_cannot_be_read_says_so(lab: Lab) -> None:
    log = lab.root / "log.jsonl"
    with log.open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    ran = lab.run("git-record", "import", str(log))
    assert (ran.status, "'log.jsonl' has more than 67,108,864 bytes" in ran.err) == (1, True), ran.err
    ran = lab.run("git-record", "import", str(lab.root / "none"))
    assert ran.err.startswith("error: "), ran.err
