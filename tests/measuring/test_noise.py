"""The noise of a machine: measured once, stored on the plan's branch, compared with 'min_gain'."""

from __future__ import annotations

import json
import re

import pytest

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.measuring.noise import FEW_RUNS, NoiseReport, report_noise
from git_planner.flows.records.ledger import read_ledger
from git_planner.rules.measuring.noise import noise_from
from tests.measuring.test_paired_runs import POLICY, attempt, measured, project
from tests.support.lab import Lab


def quiet(lab: Lab, runs: int = 12, *, force: bool = False) -> NoiseReport:
    """Measure the noise."""
    return report_noise(lab.repo, plan=None, runs=runs, force=force, progress=lambda _: None)


def asking(gain: float) -> str:
    """Return the policy with a 'min_gain'."""
    return POLICY.replace("timeout: 20,", f"timeout: 20, min_gain: {gain},")


def test_the_noise_is_measured_once_and_kept_on_the_plan_s_branch(lab: Lab) -> None:
    project(lab)
    done = quiet(lab)
    document = json.loads(lab.show(f"plan/default:{done.noise.path}"))
    assert documents.validate("noise", document) == []
    assert noise_from(document) == done.noise
    (wall,) = done.noise.metrics
    assert (wall.name, len(wall.samples)) == ("wall", 12)
    assert all(5000 <= sample < 5256 for sample in wall.samples)
    assert 20 < wall.deviation < 130
    assert -1 < wall.autocorrelation < 1
    tip = lab.git("rev-parse", "plan/default")
    again = quiet(lab)
    assert (again.known, again.noise) == (True, done.noise)
    assert lab.git("rev-parse", "plan/default") == tip
    anew = quiet(lab, 3, force=True)
    assert (anew.known, len(anew.noise.metrics[0].samples)) == (False, 3)


def test_a_gain_below_twice_the_noise_is_refused(lab: Lab) -> None:
    project(lab, asking(10))
    with pytest.raises(PlannerError) as raised:
        quiet(lab)
    assert (raised.value.code, raised.value.exit) == ("E_MIN_GAIN", 2)
    assert re.match(r"'wall' asks for 10; twice its noise is \d{2,3}\b", raised.value.details[0])
    attempt(lab, 1, 4000)
    with pytest.raises(PlannerError) as raised:
        measured(lab)
    assert raised.value.code == "E_MIN_GAIN"
    assert [row.kind for row in read_ledger(lab.repo, "default")] == ["baseline"]


def test_a_record_finds_the_noise_out_when_it_needs_it(lab: Lab) -> None:
    project(lab, asking(600))
    attempt(lab, 1, 4000)
    assert measured(lab).record.verdict == "improved"
    noise = quiet(lab)
    assert (noise.known, len(noise.noise.metrics[0].samples)) == (True, FEW_RUNS)
    attempt(lab, 2, 3700, "iter/0001-next")
    small = measured(lab).record
    assert (small.verdict, small.comparison and small.comparison.ending) == ("within_noise", "improved")
    assert small.summary.endswith("; less than the smallest gain of 600")


def test_a_record_says_that_the_noise_is_not_known(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 4000)
    assert (
        "the noise on this machine is not known; 'git record noise' measures it" in measured(lab).record.notes
    )
    quiet(lab, 3)
    attempt(lab, 2, 3000, "iter/0001-next")
    assert measured(lab).record.notes == ("the policy has no correctness command",)


def test_what_cannot_be_measured_is_an_error(lab: Lab) -> None:
    project(
        lab,
        POLICY.replace("kind: noisy", "kind: deterministic").replace(
            ", pairs: {screen: 4, min: 8, max: 24, alpha: 0.5, horizon: 1}", ""
        ),
    )
    with pytest.raises(PlannerError) as raised:
        quiet(lab)
    assert (raised.value.code, raised.value.message) == ("E_USAGE", "the policy has no noisy metric")
    project(lab, **{"src/value": "many\n"})
    with pytest.raises(PlannerError) as raised:
        quiet(lab)
    assert (raised.value.code, raised.value.exit) == ("E_MEASURE", 4)
    assert raised.value.message == "the base cannot be measured: 'wall' ended with status 3"


def test_the_command_line(lab: Lab) -> None:
    project(lab, **{"src/quiet": ""})
    first = lab.run("git-record", "noise", "--runs", "3", "--json")
    assert first.status == 0
    document = json.loads(first.out)
    assert (document["known"], document["noise"]["metrics"][0]["deviation"]) == (False, 0)
    lines = lab.run("git-record", "noise").out.splitlines()
    assert lines[0].startswith(f"noise of base {lab.git('rev-parse', 'HEAD')[:12]}, known since ")
    assert lines[1:] == [
        "  metric   runs  median  deviation  share  autocorrelation  smallest gain",
        "  wall ms     3    5000          0  0.0 %            +0.00              0",
    ]


def test_simulate_takes_the_numbers_of_a_metric(lab: Lab) -> None:
    project(lab)
    few = ("--trials", "2", "--campaigns", "1", "--json")
    done = lab.run("git-record", "simulate", "--metric", "wall", *few)
    document = json.loads(done.out)
    assert (done.status, document["pairs"]["max"], document["bound"]) == (0, 24, pytest.approx(1 / 3))
    assert lab.run("git-record", "simulate", "--metric", "wall", *few).out == done.out
    assert json.loads(lab.run("git-record", "simulate", *few).out)["pairs"]["max"] == 48
    unknown = lab.run("git-record", "simulate", "--metric", "fall", *few)
    assert (unknown.status, json.loads(unknown.out)["code"]) == (2, "E_USAGE")
