"""Damaged records in a ledger: whatever their shape, the error names the file."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.records.ledger import LedgerReader, damaged_records, read_ledger, read_record
from git_planner.rules import refnames
from git_planner.rules.records.row import RecordIds
from tests.support.lab import Lab
from tests.support.recorded_history import keep, record
from tests.support.workshop import workshop

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
FORGED: dict[str, dict[str, Any]] = {
    "zzz": {},
    "99991231T235959Z-abcdefgh": {},
    "20261399T000000Z-abcdefgh": {},
    "20261121T100009Z-dddddddd": {"verdict": "glorious"},
    "20261121T100009Z-eeeeeeee": {"summary": 7, "hypothesis": []},
    "20261121T100009Z-ffffffff": {
        "metrics": [{"name": "size", "unit": "", "better": "lower", "samples": [1]}]
    },
    "20261121T100009Z-gggggggg": {"iteration": "first"},
}


@pytest.mark.parametrize("document", DAMAGED, ids=json.dumps)
def test_a_damaged_record_is_refused_by_its_name(document: Any, lab: Lab) -> None:
    content = json.dumps(document).encode()
    with pytest.raises(PlannerError, match=r"'x\.json' in the ledger is not a record") as caught:
        read_record(content, "x.json")
    assert caught.value.code == "E_JSON"
    # It says why in words, not in those of Python.
    assert re.search(r"Error|object|NoneType", caught.value.message) is None
    lab.commit("ledger", {f"{refnames.RECORDS}/x.json": content.decode()})
    lab.git("branch", f"{refnames.PLAN}default")
    # In a ledger it is ignored, by its name.
    reader = LedgerReader(lab.repo)
    assert (reader.read("default"), [*reader.damaged], read_ledger(lab.repo, "default")) == (
        [],
        ["x.json"],
        [],
    )
    assert [text.split(" in ")[0] for text in damaged_records(lab.repo, "default")] == ["'x.json'"]


def test_forged_records_end_no_command(lab: Lab) -> None:
    workshop(lab)
    assert lab.run("git-plan", "task", "add", "one").status == 0
    sound = record(1, lab.git("rev-parse", "HEAD"), 100.0, "shrink")
    for name, changes in FORGED.items():
        document = {**sound.document(), "id": name, **changes}
        lab.rival("refs/heads/plan/default", refnames.record_path(name), json.dumps(document))
    lab.rival("refs/heads/plan/default", refnames.record_path("20261121T100010Z-aaaaaaaa"), "{}")
    keep(lab, sound)
    names = sorted(f"{name}.json" for name in (*FORGED, "20261121T100010Z-aaaaaaaa"))
    ran = lab.run("git-record")
    assert ran.status == 0, ran.err
    assert sorted(line.split("'")[1] for line in ran.err.splitlines() if "ignored:" in line) == names
    for argv in (("git-record", "log"), ("git-record", "log", "--jsonl"), ("git-record", "best")):
        ran = lab.run(*argv)
        assert ran.status == 0, ran.err
        assert "zzz" not in ran.out
    for argv in (("git-iterate", "list"), ("git-plan", "sync"), ("git-plan", "list")):
        assert lab.run(*argv).status == 0, argv
    reader = LedgerReader(lab.repo)
    assert reader.read("default")[0].id[:8] == "20261121"
    assert sorted(reader.damaged) == names


def test_a_record_has_the_id_of_its_name_whatever_it_says(lab: Lab) -> None:
    workshop(lab)
    assert lab.run("git-plan", "task", "add", "one").status == 0
    name = "20261121T100009Z-dddddddd"
    document = {**record(1, lab.git("rev-parse", "HEAD"), 100.0, "shrink").document(), "id": "x"}
    lab.rival("refs/heads/plan/default", refnames.record_path(name), json.dumps(document))
    assert [kept.id for kept in read_ledger(lab.repo, "default")] == [name]
    for argv in (
        ("git-record", "show", name),
        ("git-record", "log", "--json"),
        ("git-plan", "manual", "pack"),
    ):
        ran = lab.run(*argv)
        assert (ran.status, "E_SCHEMA" in ran.err) == (0, False), ran.err
    assert json.loads(lab.run("git-record", "show", name, "--json").out)["id"] == name


def test_ids_that_are_checked_together_are_ids_one_by_one() -> None:
    ids = RecordIds("2026-01-01T00:00:00Z")
    good = "20231114T222020Z-abcdefgh"
    assert ids.allow_all([])
    assert ids.allow_all([good, f"{good}1"])
    for bad in (
        good * 2,
        f"{good}\n{good}",
        "",
        "x",
        f"{good}\n",
        "20260101T000001Z-abcdefgh",
        f"{good[:17]}{'a' * 41}",
    ):
        assert not ids.allow_all(sorted([good, bad])), bad
