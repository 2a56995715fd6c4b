"""The stage 'gate' of a tournament: every variant, each result kept at once, nothing run twice."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from typing import Any

import pytest

from git_planner.flows.tournament.run_store import EVENTS, RunChange, RunStore
from git_planner.gitio.repository import open_repository
from git_planner.rules import refnames
from git_planner.rules.tournament import event
from tests.support.lab import Lab, command_line
from tests.support.waiting import wait_until
from tests.tournament.tournament_lab import gated_run

POLICY = """\
schema: git-planner/policy@1
guard: ["tests/**"]
scope: {{allow: ["src/**"]}}
correctness: {{run: ["true"]}}
gates: {{conceptual: [guard, scope{more}]}}
"""
COMMAND = ", {name: check, run: [sh, -c, 'test ! -e src/bad'], timeout: 60}"
VARIANTS = {
    1: {"src/a": "1\n"},
    2: {"tests/it": "changed\n"},
    3: {"other": "x\n"},
    4: {"src/bad": ""},
    5: {"src/a": "1\n"},
}
CODES = {1: None, 2: "E_GUARD", 3: "E_SCOPE", 4: "E_GATE", 5: None}


def tournament(lab: Lab) -> None:
    """Create a run with five variants that have not been gated."""
    lab.commit("campaign", {".git-planner.yml": POLICY.format(more=COMMAND), "tests/it": "", "src/a": ""})
    gated_run(lab, VARIANTS, gates=None)


@pytest.fixture
def run(lab: Lab) -> Lab:
    """Return a laboratory with the run 'speed'."""
    return lab.prepare("five variants to gate", tournament)


def gated(lab: Lab, *words: str) -> tuple[int, dict[str, Any]]:
    """Run `git bo4 gate` on the run; return the exit status and the document."""
    ran = lab.run("git-bo4", "gate", "speed", "--json", *words)
    assert ran.out, ran.err
    return ran.status, json.loads(ran.out)


def stored_codes(lab: Lab) -> dict[int, str | None]:
    """Return the codes of the gates that the rows of the variants hold; all must hold some."""
    rows = {}
    for number in VARIANTS:
        row = json.loads(lab.show(f"bo4/speed/run:{refnames.variant_path('speed', 1, number)}"))
        rows[number] = row["gates"]["code"]
        assert row["gates"]["passed"] is (row["gates"]["code"] is None)
        assert row["gates"]["commit"] == row["commit"]
    return rows


def variant_events(lab: Lab) -> list[str]:
    """Return the names of the events that are about variants."""
    return [line["event"] for line in event.read(stream(lab)) if "variant" in line.get("detail", {})]


def stream(lab: Lab) -> bytes:
    """Return the stream of events of the run."""
    return RunStore(open_repository(lab.path), "speed").read().events


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_every_variant_is_gated_and_a_second_time_nothing_is_run(run: Lab, jobs: str) -> None:
    with run.undisturbed():
        status, document = gated(run, "--jobs", jobs, "--strict-events")
    assert (status, document["passed"]) == (0, [1, 5])
    assert {number: report["code"] for number, report in document["variants"].items()} == {
        str(number): code for number, code in CODES.items()
    }
    assert stored_codes(run) == CODES
    assert run.run("git-bo4", "events", "validate", "speed").status == 0
    names = variant_events(run)
    assert (names.count("GATES_START"), names.count("GATES_PASS"), names.count("GATES_FAIL")) == (5, 2, 3)
    tip = run.git("rev-parse", "bo4/speed/run")
    assert gated(run)[1] == document
    assert run.git("rev-parse", "bo4/speed/run") == tip
    lines = run.run("git-bo4", "gate", "speed").out.splitlines()
    assert [line for line in lines if line.startswith("v")] == [
        "v1: conceptual gates passed",
        "v2: conceptual gates failed (E_GUARD)",
        "v3: conceptual gates failed (E_SCOPE)",
        "v4: conceptual gates failed (E_GATE)",
        "v5: conceptual gates passed",
    ]


def test_what_has_a_result_is_not_run_again_unless_it_is_forced(run: Lab) -> None:
    first = gated(run)[1]["variants"]
    # Variants with one tree share one run.
    assert first["1"]["results"] == first["5"]["results"]
    assert first["1"]["commit"] != first["5"]["commit"]
    again = gated(run, "--force")[1]["variants"]
    assert [result["at"] for result in again["1"]["results"]] >= [r["at"] for r in first["1"]["results"]]
    assert again["1"]["key"] == first["1"]["key"]


def test_two_gates_at_once_store_each_result_once(run: Lab) -> None:
    both = [run.start("git-bo4", "gate", "speed", "--jobs", "1") for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    for process in both:
        process.communicate()
    assert variant_events(run).count("GATES_START") == 5
    assert event.validate(stream(run), strict=True) == []
    assert stored_codes(run) == CODES


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_an_interrupt_ends_all_gates_at_once(lab: Lab, jobs: str) -> None:
    slow = ", {name: slow, run: [sh, -c, 'sleep 97'], timeout: 90}"
    lab.commit("campaign", {".git-planner.yml": POLICY.format(more=slow), "src/a": ""})
    gated_run(lab, {number: {"src/a": f"{number}\n"} for number in (1, 2, 3)}, gates=None)
    gate = lab.start("git-bo4", "gate", "speed", "--jobs", jobs)
    logs = lab.path / ".git" / "planner" / "gates"
    wait_until(lambda: len(list(logs.glob("running-*/slow.stdout"))) == int(jobs))
    gate.send_signal(signal.SIGINT)
    _, err = gate.communicate(timeout=60)
    assert gate.returncode == 130, err
    assert not list(logs.glob("running-*"))


def test_gates_wait_for_the_leases_of_this_host(run: Lab) -> None:
    session = run.path / ".git" / "planner" / "runs" / "x" / "session.json"
    session.parent.mkdir(parents=True)
    session.write_text(json.dumps({"session": {"state": "running", "task": "task_001"}}))
    run.git("config", "planner.maxHeavyLeases", "1")
    words = ("--purpose", "tests", "--session", "worker", "--json")
    lease = json.loads(run.run("git-plan", "lease", "acquire", *words).out)
    gate = run.start("git-bo4", "gate", "speed", "--jobs", "3")
    assert gate.stderr is not None
    assert b"waiting for a lease" in gate.stderr.readline()
    # Only the guard needs none.
    assert "GATES_PASS" not in variant_events(run)
    run.run("git-plan", "lease", "release", lease["lease"])
    gate.communicate(timeout=120)
    assert gate.returncode == 0
    assert stored_codes(run) == CODES


def test_the_shipping_set_leaves_the_conceptual_result_alone(run: Lab) -> None:
    gated(run)
    status, document = gated(run, "--set", "shipping")
    # The policy's correctness command leaves no proof.
    assert (status, document["passed"]) == (1, [])
    assert document["variants"]["1"]["code"] == "E_TEST"
    assert stored_codes(run) == CODES
    row = RunStore(open_repository(run.path), "speed").read().variant(1)
    assert row.gates is not None
    assert row.gates["shipping"]["code"] == "E_TEST"
    assert {line["context"]["mode"] for line in event.read(stream(run))} == {"conceptual", "shipping"}
    assert event.validate(stream(run), strict=True) == []


def test_a_variant_that_cannot_be_written_out_does_not_stop_the_others(run: Lab) -> None:
    blob = run.git("hash-object", "-w", "--stdin", stdin="x")
    folder = run.git("mktree", stdin=f"100644 blob {blob}\t{'n' * 300}\n")
    entries = run.git("ls-tree", "main^{tree}").replace(run.git("rev-parse", "main:src"), folder)
    tree = run.git("mktree", stdin=f"{entries}\n")
    commit = run.git("commit-tree", "-p", "main", "-m", "odd", tree)
    store = RunStore(open_repository(run.path), "speed")
    odd = replace(store.read().variant(1), commit=commit, tree=tree)
    store.change(lambda _: RunChange(variants=[odd]), "test")
    status, document = gated(run)
    assert (status, document["passed"]) == (0, [5])
    assert document["variants"]["1"]["code"] == "E_EXPORT"


def test_a_rewritten_stream_fails_only_where_streams_are_strict(run: Lab) -> None:
    gated(run)
    text = stream(run).decode()
    path = f"{refnames.run_dir('speed')}/{EVENTS}"
    run.rival("refs/heads/bo4/speed/run", path, text.replace("GATES_PASS", "GATES_WARN", 1).rstrip("\n"))
    assert gated(run)[0] == 0
    status, document = gated(run, "--strict-events")
    assert (status, document["code"]) == (1, "E_EVENT_SCHEMA")


@pytest.mark.parametrize("calls", [9, 14, 19, 24])
def test_a_killed_gate_is_finished_by_the_next_one(run: Lab, calls: int) -> None:
    env = run.crash_after(calls)
    killed = run.run_program(*command_line("git-bo4", "gate", "speed", "--jobs", "1"), env=env)
    assert killed.status != 0
    assert gated(run, "--strict-events")[0] == 0
    assert stored_codes(run) == CODES
    assert variant_events(run).count("GATES_START") == 5


def test_a_run_without_variants_has_nothing_to_gate(lab: Lab) -> None:
    lab.commit("campaign", {".git-planner.yml": POLICY.format(more="")})
    assert lab.run("git-bo4", "new", "--prompt", "faster", "--run", "speed").status == 0
    status, document = gated(lab)
    assert (status, document["variants"]) == (1, {})
    missing = lab.run("git-bo4", "gate", "other", "--json")
    assert json.loads(missing.out)["code"] == "E_UNKNOWN_RUN"
    for words in (["speed", "--ref", "HEAD"], ["--ref", "HEAD", "--pre-push"], ["--events-out", "x"]):
        assert lab.run("git-bo4", "gate", *words).status == 2
