"""Means to steadier numbers: one CPU, recorded niceness and load, instruction counts instead of times."""

from __future__ import annotations

import os

import pytest

from git_planner.flows.records.record import record_commit
from git_planner.host import instruction_counter
from git_planner.rules.records.record import Record
from tests.support.benchmark_project import iteration
from tests.support.lab import Lab

POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
metrics:
  - {{name: found, run: [sh, tests/bench], better: lower, timeout: 60, {more}}}
"""
WORK = "n=$(cat src/turns); i=0; while [ $i -lt $n ]; do i=$((i + 1)); done; echo DONE: $i\n"


def project(lab: Lab, more: str, bench: str) -> None:
    """Return a benchmark in shell."""
    files = {".git-planner.yml": POLICY.format(more=more), "tests/bench": bench, "src/turns": "2000\n"}
    lab.commit("project", files)


def measured(lab: Lab) -> Record:
    """Record the checked-out commit."""
    return record_commit(lab.repo, "HEAD", progress=lambda _: None).record


@pytest.fixture
def tool(lab: Lab) -> str:
    """Return the tool that counts instructions here."""
    counter = instruction_counter.find(lab.env["PATH"])
    if counter is None:
        pytest.skip("neither perf nor valgrind counts instructions on this machine")
    return counter.tool


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no CPU affinity")
@pytest.mark.parametrize(
    ("more", "one"), [("kind: noisy", True), ("kind: noisy, pin: false", False), ("", False)]
)
def test_noisy_metrics_run_on_one_cpu(lab: Lab, more: str, one: bool) -> None:
    before = os.sched_getaffinity(0)
    project(lab, f"pattern: 'CPUS: (\\d+)'{', ' + more if more else ''}", "echo CPUS: $(nproc)\n")
    done = measured(lab)
    assert done.value == (1 if one else len(before))
    assert os.sched_getaffinity(0) == before
    assert done.environment["pinned"] in before
    assert done.environment["nice"] == os.nice(0)
    assert done.environment["load"] >= 0


def test_instructions_are_counted_and_steady(lab: Lab, tool: str) -> None:
    project(lab, "source: instructions, repeats: 2", WORK)
    base = measured(lab)
    assert tool in base.environment["counter"]
    assert base.metrics[0].spread == 0
    iteration(lab, 1, "main")
    lab.commit("less work", {"src/turns": "1900\n"})
    done = measured(lab)
    assert (done.verdict, base.value is not None and done.value is not None) == ("improved", True)
    assert 0.5 < (done.value or 0) / (base.value or 1) < 1


def test_a_forged_count_never_lowers_the_real_one(lab: Lab, tool: str) -> None:
    forged = "echo '==1== I   refs:      10' >&2; echo '10,,instructions:u,1,100.00,,' >&2\n"
    project(lab, "source: instructions", WORK)
    real = measured(lab).value or 0
    project(lab, "source: instructions", forged + WORK)
    done = measured(lab)
    assert done.reason == "ambiguous_metric" if tool == "perf" else (done.value or 0) > 0.9 * real


def test_a_run_that_fails_is_no_count(lab: Lab, tool: str) -> None:
    assert tool
    project(lab, "source: instructions", "exit 3\n")
    done = measured(lab)
    assert (done.reason, done.metrics) == ("crash", ())
