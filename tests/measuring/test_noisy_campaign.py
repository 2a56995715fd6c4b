"""A campaign of noisy comparisons with noise from a fixed seed: luck is never kept, and a gain of a tenth is.

The benchmark counts the runs of each candidate outside of the tree, and each run takes its own number from a
table. With coins from a seed, too, the test always ends alike.
tests/bench/noise_campaign.py is the same by the real clock.
"""

from __future__ import annotations

from random import Random
from types import SimpleNamespace

import pytest

from git_planner.flows.measuring import paired_runs
from git_planner.flows.measuring.noise import report_noise
from git_planner.flows.records.record import record_commit
from git_planner.rules.records.record import Record
from tests.support.benchmark_project import iteration
from tests.support.lab import Lab

TRIES = 3
# Runs that one candidate may have, and the noise of one run as a share of the value.
RUNS, SHARE = 400, 0.03
# Without a jail: the count of runs lies outside of the tree.
POLICY = """\
schema: git-planner/policy@1
base: main
jail: "off"
guard: ["tests/**"]
scope: {{allow: ["src/**"]}}
metrics:
  - {{name: wall, run: [sh, tests/bench, "{counts}"], pattern: 'WALL: (\\d+)', unit: ms, better: lower,
     kind: noisy, timeout: 20, pairs: {{alpha: 0.4}}}}
"""
BENCH = """\
read -r candidate <src/candidate
read -r value <src/value
echo run >>"$1/$candidate"
run=$(wc -l <"$1/$candidate")
noise=$(sed -n "$((candidate * RUNS + run))p" tests/noise)
echo "WALL: $((value + noise))"
"""


def prepare(lab: Lab) -> None:
    """Commit a value, its benchmark and the table of noise."""
    random = Random("noise of a campaign")
    table = "".join(f"{round(random.gauss(0, SHARE * 10_000))}\n" for _ in range(RUNS * (TRIES + 2)))
    counts = lab.root / "counts"
    counts.mkdir()
    files = {
        ".git-planner.yml": POLICY.format(counts=counts),
        "tests/bench": BENCH.replace("RUNS", str(RUNS)),
        "tests/noise": table,
        "src/candidate": "0\n",
        "src/value": "10000\n",
    }
    lab.commit("project", files)


def attempt(lab: Lab, number: int, value: int) -> Record:
    """Record a candidate of its own noise with a value."""
    iteration(lab, number, "main", slug=f"try-{number}")
    lab.commit(f"try {number}", {"src/candidate": f"{number}\n", "src/value": f"{value}\n"})
    return record_commit(lab.repo, "HEAD", progress=lambda _: None).record


def test_luck_is_never_kept_and_a_tenth_is(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    coins = SimpleNamespace(randbits=Random("coins of a campaign").getrandbits)
    monkeypatch.setattr(paired_runs, "secrets", coins)
    prepare(lab)
    varied = report_noise(lab.repo, plan=None, runs=8, force=False, progress=lambda _: None).noise.metrics[0]
    assert 0.5 * SHARE < varied.deviation / varied.median < 2 * SHARE
    for number in range(1, TRIES + 1):
        tried = attempt(lab, number, 10_000)
        assert tried.comparison is not None
        assert (tried.valid, tried.comparison.number) == (True, number)
        assert tried.verdict != "improved", tried.summary
    gain = attempt(lab, TRIES + 1, 9_000)
    assert gain.comparison is not None
    assert gain.verdict == "improved", gain.summary
    assert -0.16 < gain.comparison.effect / gain.comparison.base_median < -0.04
    assert lab.git("rev-parse", "iter/best") == lab.git("rev-parse", "HEAD")
