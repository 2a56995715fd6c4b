"""Damaged records in a ledger: whatever their shape, the error names the file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.records.ledger import LedgerReader, read_record
from git_planner.rules import refnames
from tests.support.lab import Lab

DAMAGED: list[Any] = [
    None,
    [],
    "text",
    {},
    {"metrics": {}},
    {"metrics": 1, "tests": None},
    {"metrics": ["text"], "tests": None},
    {"metrics": [], "tests": 7},
    {"metrics": [], "tests": None, "comparison": "text"},
    {"metrics": [{"samples": 1}], "tests": None},
    {"metrics": [], "tests": None, "unknown": 1},
]


@pytest.mark.parametrize("document", DAMAGED, ids=json.dumps)
def test_a_damaged_record_is_refused_by_its_name(document: Any, lab: Lab) -> None:
    content = json.dumps(document).encode()
    with pytest.raises(PlannerError, match=r"'x\.json' in the ledger is not a record") as caught:
        read_record(content, "x.json")
    assert caught.value.code == "E_JSON"
    lab.commit("ledger", {f"{refnames.RECORDS}/x.json": content.decode()})
    lab.git("branch", f"{refnames.PLAN}default")
    with pytest.raises(PlannerError, match=r"'x\.json' in the ledger is not a record") as caught:
        LedgerReader(lab.repo).read("default")
    assert caught.value.code == "E_JSON"
