"""The verdict of a baseline is `baseline`; records of earlier versions called it `within_noise`."""

from __future__ import annotations

import json

import pytest

from git_planner import documents
from git_planner.flows.records.ledger import read_ledger
from git_planner.rules.records.ranking import pick_best
from git_planner.rules.records.record import record_from
from git_planner.rules.records.row import row_from
from tests.support import samples
from tests.support.benchmark_project import attempt, project
from tests.support.lab import Lab


def test_the_first_record_of_a_base_is_the_baseline(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 100)
    ran = lab.run("git-record", "--json")
    assert ran.status == 0, ran.err
    verdicts = [(record.kind, record.verdict, record.valid) for record in read_ledger(lab.repo, "default")]
    assert verdicts == [("baseline", "baseline", True), ("attempt", "within_noise", True)]
    best = json.loads(lab.run("git-record", "best", "--json").out)
    assert (best["kind"], best["verdict"]) == ("baseline", "baseline")
    assert " baseline " in lab.run("git-record", "log").out
    assert lab.run("git-record", "verify", "main").status == 0


@pytest.mark.parametrize("verdict", ["baseline", "within_noise"])
def test_old_and_new_baselines_are_valid_and_can_lead(verdict: str) -> None:
    document = {**samples.RECORD.document(), "kind": "baseline", "verdict": verdict}
    assert documents.validate("record", json.loads(json.dumps(document))) == []
    record = record_from(document)
    assert record.valid
    assert row_from(document).valid
    assert pick_best([record]) == record
