"""Only what was measured here moves the best; what a measurement contradicts is disputed."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from git_planner import documents
from git_planner.flows.records.journal import note_record
from git_planner.flows.records.ledger import read_ledger
from git_planner.report.plot import LOOKS
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.records.row import Verdict
from tests.support.benchmark_project import POLICY, attempt, project
from tests.support.lab import Lab


def recorded(lab: Lab, *args: str) -> dict[str, Any]:
    """Run `git record --json` and return its document."""
    ran = lab.run("git-record", *args, "--json")
    assert ran.status in (0, 1, 4), ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


def forge(lab: Lab, like: dict[str, Any], *, moves_best: bool = True, **fields: Any) -> dict[str, Any]:
    """Write a record with plain git, as an agent did: like a true one, of another commit and value."""
    # A second later than the true one.
    later = f"{like['id'][:13]}{int(like['id'][13:15]) + 1:02}Z-{'f' * 8}"
    record = {**like, "id": later, "verdict": "improved", "kind": "attempt", **fields}
    metrics = [{**like["metrics"][0], "median": 1.0, "samples": [1.0]}]
    document = {**record, "metrics": fields.get("metrics", metrics), "summary": "cycles 1 (-99 against 100)"}
    path = refnames.record_path(record["id"])
    lab.rival("refs/heads/plan/default", path, canonical_json.dumps(document).decode())
    if moves_best:
        lab.git("update-ref", "refs/heads/iter/best", record["commit"])
        lab.git("tag", "-a", "-m", "new best", f"best/1-next-i{record['iteration']}", record["commit"])
    return document


def verdicts(lab: Lab) -> list[tuple[str, float | None]]:
    """Return the verdicts and values of the ledger, oldest first."""
    return [(record.verdict, record.value) for record in read_ledger(lab.repo, "default")]


def test_a_forged_record_of_the_coming_tree_is_measured_disputed_and_loses(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 110)
    true = recorded(lab)["record"]
    tip = attempt(lab, 2, 105)
    tree = lab.git("rev-parse", f"{true['tree']}:tests")  # the guarded part is the same in all
    assert tree == lab.git("rev-parse", f"{tip}:tests")
    # The tree that will be measured: what the true record measured, with the new value.
    lab.git("read-tree", true["tree"])
    lab.git(
        "update-index", "--cacheinfo", f"100644,{lab.git('rev-parse', f'{tip}:src/value.py')},src/value.py"
    )
    coming = lab.git("write-tree")
    lab.git("read-tree", "HEAD")
    fake = forge(lab, true, commit=tip, tree=coming, iteration=2, slug="next", branch="iter/0002-next")
    result = recorded(lab)
    assert (result["cached"], result["advanced"], result["record"]["verdict"]) == (False, False, "worse")
    assert result["record"]["metrics"][0]["median"] == 105
    assert ("disputed", 1.0) in verdicts(lab)
    # The best goes back to the last that holds: the base. Its tag is gone.
    refs = lab.refs()
    assert refs["refs/heads/iter/best"] == lab.git("rev-parse", "main")
    assert not [ref for ref in refs if ref.startswith("refs/tags/best/")]
    shown = lab.run("git-record", "show", fake["id"]).out
    assert "disputed: 105 was measured here, not 1" in shown
    assert "disputed" in lab.run("git-record", "log").out
    assert json.loads(lab.run("git-record", "best", "--json").out)["kind"] == "baseline"
    paths = lab.git("ls-tree", "--name-only", "plan/default", f"{refnames.DISPUTES}/").splitlines()
    assert len(paths) == 1
    dispute = json.loads(lab.show(f"plan/default:{paths[0]}"))
    assert documents.validate("dispute", dispute) == []
    assert (dispute["record"], dispute["measured"]) == (fake["id"], result["record"]["id"])
    log = json.loads(lab.run("git-record", "log", "--json").out)
    assert [record["verdict"] for record in log["records"] if record["id"] == fake["id"]] == ["disputed"]
    lab.fsck()


def test_a_claim_is_measured_before_a_candidate_is_compared_with_it(lab: Lab) -> None:
    project(lab)
    bad = attempt(lab, 1, 120)
    true = recorded(lab)["record"]
    forge(lab, true, tree="1" * 40, environment_digest="0" * 64, iteration=1)
    assert lab.git("rev-parse", "iter/best") == bad
    assert "best-elsewhere" in lab.run("git-planner", "doctor").out
    good = attempt(lab, 2, 90)
    result = recorded(lab)
    assert (result["record"]["verdict"], result["record"]["delta"], result["advanced"]) == (
        "improved",
        -10.0,
        True,
    )
    assert any("claims an improvement" in note for note in result["record"]["notes"])
    assert lab.git("rev-parse", "iter/best") == good
    assert json.loads(lab.run("git-record", "best", "--json").out)["commit"] == good


def test_a_pulled_best_is_measured_here_and_holds(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    recorded(lab)
    clone = lab.clone("other")
    for branch in ("plan/default", "iter/best"):
        clone.git("branch", branch, f"origin/{branch}")
    assert "it was not measured in this repository" in clone.run("git-record", "best").out
    clone.git("checkout", "-q", "-b", "main2", "origin/main")
    attempt(clone, 2, 95, base="origin/main")
    result = recorded(clone)
    # The base and the pulled best were measured here, and the best holds: it is what 95 is compared with.
    assert (result["record"]["verdict"], result["record"]["delta"]) == ("worse", 5.0)
    assert verdicts(clone)[2:] == [("baseline", 100.0), ("improved", 90.0), ("worse", 95.0)]
    assert clone.git("rev-parse", "iter/best") == lab.git("rev-parse", "iter/best")


def test_a_shortened_list_of_tests_is_no_proof_of_a_baseline(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    tests = recorded(lab)["record"]["tests"]["ids"]
    path = f"experiments/tests/{tests}.json"
    document = json.loads(lab.show(f"plan/default:{path}"))
    lab.rival("refs/heads/plan/default", path, json.dumps({**document, "passed": document["passed"][:1]}))
    lab.commit("fewer", {"src/value.py": "VALUE = 80\n"})
    assert recorded(lab)["record"]["verdict"] == "improved"


def test_a_person_rejects_a_record(lab: Lab) -> None:
    base = project(lab)
    first = attempt(lab, 1, 90)
    recorded(lab)
    attempt(lab, 2, 80, base="iter/best")
    second = recorded(lab)["record"]
    lab.git("checkout", "-q", "main")
    ran = lab.run("git-record", "reject", second["id"], "--why", "it caches\n between runs")
    assert (ran.status, ran.out.splitlines()) == (
        0,
        [
            f"record {second['id']} is disputed now",
            f"  best    is back at {first[:12]}, the last one that holds",
            "  tag     best/80-next-i2 is removed",
        ],
    )
    assert lab.refs()["refs/heads/iter/best"] == first
    assert lab.git("log", "-1", "--format=%s", "plan/default") == "record rejected: it caches between runs"
    assert "was disputed before" in lab.run("git-record", "reject", second["id"], "--why", "again").out
    assert lab.run("git-record", "reject", second["id"], "--why", " ").status == 2
    assert lab.run("git-record", "reject", "main", "--why", "the base, too").status == 0
    assert lab.refs()["refs/heads/iter/best"] == first != base
    # Planners are told, and plots show it.
    packed = lab.run("git-plan", "manual", "pack")
    assert packed.status == 0, packed.err
    assert set(get_args(Verdict)) == set(LOOKS)
    # Measured again it counts again.
    assert recorded(lab, "iter/0002-next")["record"]["verdict"] == "improved"
    lab.fsck()


def test_check_lint_and_doctor_know_a_disputed_best(lab: Lab) -> None:
    project(lab)
    tip = attempt(lab, 1, 90)
    record = recorded(lab)["record"]
    assert lab.run("git-plan", "task", "add", "one").status == 0
    assert lab.run("git-planner", "check", "--range", "main..HEAD").status == 0
    lab.run("git-record", "reject", record["id"], "--why", "luck")
    lab.git("update-ref", "refs/heads/iter/best", tip)
    checked = lab.run("git-planner", "check", "--range", "main..HEAD")
    assert (checked.status, f"'{record['id']}' is disputed" in checked.out + checked.err) == (1, True)
    doctor = json.loads(lab.run("git-planner", "doctor", "--json").out)
    assert [one["target"] for one in doctor["findings"] if one["code"] == "best-disputed"] == [tip[:12]]
    lint = json.loads(lab.run("git-plan", "lint", "--json").out)
    assert [fault["code"] for fault in lint["faults"] if fault["severity"] == "error"] == [
        "best-moved",
        "best-disputed",
    ]
    listed = json.loads(lab.run("git-iterate", "list", "--json").out)
    assert "disputed" in json.dumps(listed)


def test_a_forged_best_of_a_measured_tree_is_set_back_even_by_a_cached_answer(lab: Lab) -> None:
    base = project(lab)
    attempt(lab, 1, 120)
    true = recorded(lab)["record"]
    forge(lab, true)
    again = recorded(lab)
    assert (again["cached"], again["record"]["verdict"]) == (True, "worse")
    assert lab.git("rev-parse", "iter/best") == base
    # Nothing is left to be measured again.
    count = len(verdicts(lab))
    assert recorded(lab)["cached"] is True
    assert len(verdicts(lab)) == count


def test_a_gain_that_was_measured_in_rounds_of_the_older_order_is_measured_again_once(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 120)
    true = recorded(lab)["record"]
    comparison = {"orders": ["ABBA", "BAAB"], "rival": true["id"], "number": 1, "alpha": 0.05, "level": 0.05}
    comparison |= {
        "ending": "gain",
        "base": [1.0],
        "candidate": [1.0],
        "p": 0.01,
        "effect": -1.0,
        "low": None,
    }
    document = forge(lab, true, comparison={**comparison, "high": None, "confidence": 0.95})
    content = lab.run_git(
        "cat-file", "-p", f"plan/default:{refnames.record_path(document['id'])}"
    ).out.encode()
    with lab.entered():
        # It was measured here, by an earlier version.
        note_record(lab.repo, content)
    best = attempt(lab, 2, 90)
    first = lab.run("git-record")
    assert (
        "claims an improvement that was measured in rounds without lead-in: it is measured again" in first.err
    )
    assert ("disputed", 1.0) in verdicts(lab)
    assert lab.refs()["refs/heads/iter/best"] == best
    assert "measured again" not in lab.run("git-record").err


NOISY = (
    "\n".join(line for line in POLICY.splitlines() if not line.startswith("correctness"))
    .replace(
        "[python, tests/bench.py], pattern: 'CYCLES: (\\d+)'",
        "[cat, src/value.py], pattern: 'VALUE = (\\d+)'",
    )
    .replace("kind: deterministic, repeats: 1", "kind: noisy, repeats: 1, pairs: {alpha: 0.4}")
)


@pytest.mark.parametrize(("value", "holds"), [(80, True), (101, False)])
def test_a_noisy_gain_of_the_older_order_is_compared_again_once(lab: Lab, value: int, holds: bool) -> None:
    project(lab, NOISY)
    tip = attempt(lab, 1, value)
    true = recorded(lab)["record"]
    assert (true["verdict"], {order[-4:] for order in true["comparison"]["orders"]} <= {"ABBA", "BAAB"}) == (
        "improved" if holds else "worse",
        True,
    )
    # As an earlier version wrote it, which had measured a gain.
    comparison = {
        name: part for name, part in true["comparison"].items() if name not in ("lead_ins", "adjusted_p")
    }
    rounds = len(comparison["orders"])
    comparison |= {"orders": (["ABBA", "BAAB"] * rounds)[:rounds], "ending": "improved"}
    content = canonical_json.dumps({**true, "verdict": "improved", "comparison": comparison})
    assert documents.validate("record", json.loads(content)) == []
    lab.rival("refs/heads/plan/default", refnames.record_path(true["id"]), content.decode())
    with lab.entered():
        note_record(lab.repo, content)
    attempt(lab, 2, 100)
    first = lab.run("git-record")
    assert (
        "claims an improvement that was measured in rounds without lead-in: it is measured again" in first.err
    )
    again = [record for record in read_ledger(lab.repo, "default") if record.commit == tip]
    assert [record.verdict for record in again] == (
        ["improved", "improved"] if holds else ["disputed", "worse"]
    )
    assert lab.refs()["refs/heads/iter/best"] == (tip if holds else lab.git("rev-parse", "main"))
    attempt(lab, 3, 100, base="iter/best")
    assert "measured again" not in lab.run("git-record").err
