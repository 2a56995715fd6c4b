"""Metrics with constraints, read from files, from the run of the tests, or not at all."""

from __future__ import annotations

import json

import pytest

from git_planner.flows.records.record import record_commit
from git_planner.rules.measuring.metric import read_metric
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.parse import policy_from, policy_problems
from git_planner.rules.records.record import Record
from tests.support.benchmark_project import attempt, iteration
from tests.support.lab import Lab

HEAD = """\
schema: git-planner/policy@1
guard: [bench.sh]
scope: {allow: ["src/**"]}
"""
BENCH = "cat src/value.py; cp src/value.py out.txt\n"


def recorded(lab: Lab, ref: str = "HEAD") -> Record:
    """Record a commit without progress."""
    return record_commit(lab.repo, ref, progress=lambda _: None).record


def project(lab: Lab, policy: str, value: str = "VALUE = 100\n") -> Record:
    """Commit a project and record its base."""
    lab.commit("project", {".git-planner.yml": HEAD + policy, "bench.sh": BENCH, "src/value.py": value})
    return recorded(lab)


def test_a_constraint_decides_beside_the_metric(lab: Lab) -> None:
    base = project(
        lab,
        """\
metrics:
  - {name: cycles, run: [sh, bench.sh], pattern: 'VALUE = (\\d+)', better: lower, at_least: 20}
  - {name: size, run: [sh, bench.sh], reader: file-size, file: out.txt, better: lower, no_worse_than: 50%}
""",
    )
    assert [(metric.name, metric.unit, metric.median) for metric in base.metrics] == [
        ("cycles", "", 100.0),
        ("size", "bytes", 12.0),
    ]
    iteration(lab, 1, "main")
    lab.commit("larger", {"src/value.py": "VALUE = 90\n# a long comment\n"})
    larger = recorded(lab)
    assert (larger.verdict, larger.reason) == ("worse", None)
    assert larger.summary == ("cycles 90 (-10 against 100); size 28 bytes is worse than 12 by more than 50%")
    lab.commit("smaller", {"src/value.py": "VALUE = 90\n"})
    assert recorded(lab).verdict == "improved"
    lab.commit("too small", {"src/value.py": "VALUE = 19\n"})
    assert recorded(lab).summary == "cycles 19 (-71 against 90); cycles 19 is less than 20"


def test_an_implausible_value_is_no_victory(lab: Lab) -> None:
    project(
        lab,
        "metrics:\n  - {name: cycles, run: [sh, bench.sh], pattern: 'VALUE = (\\d+)', better: lower,"
        " possible: [50, null]}\n",
    )
    attempt(lab, 1, 2)
    record = recorded(lab)
    assert (record.verdict, record.reason) == ("invalid", "implausible")
    assert record.summary == (
        "the metric has a value that is not possible: "
        "'cycles' is 2, and only values of at least 50 are possible"
    )


def test_a_metric_of_the_run_of_the_tests_runs_nothing_twice(lab: Lab) -> None:
    policy = """\
correctness: {run: [sh, bench.sh], proof: exit-status, timeout: 20}
metrics:
  - {name: cycles, from: correctness, pattern: 'VALUE = (\\d+)', better: lower}
  - {name: result, from: correctness, file: out.txt, pattern: 'VALUE = (\\d+)', better: lower}
"""
    base = project(lab, policy)
    assert [(metric.name, metric.samples) for metric in base.metrics] == [
        ("cycles", (100.0,)),
        ("result", (100.0,)),
    ]
    assert set(base.seconds) == {"correctness", "record"}
    attempt(lab, 1, 90)
    assert recorded(lab).verdict == "improved"


def test_results_are_read_from_the_file_that_is_given(lab: Lab) -> None:
    results = json.dumps({"results": [{"command": "a", "median": 0.5}]})
    lab.commit(
        "project",
        {
            ".git-planner.yml": HEAD
            + "metrics:\n  - {name: w, run: [sh, bench.sh, '{result}'], reader: hyperfine, better: lower}\n",
            "bench.sh": f"echo '{results}' > $1\n",
        },
    )
    assert [(metric.unit, metric.median) for metric in recorded(lab).metrics] == [("s", 0.5)]


@pytest.mark.parametrize(
    ("printed", "rest"),
    [
        ("", ", and nothing was printed"),
        ("hello\nCycles = 12\nbye\n", "; the nearest line is 'Cycles = 12'"),
        ("hello\n\n", "; the last line is 'hello'"),
    ],
)
def test_without_a_match_the_nearest_line_is_shown(printed: str, rest: str) -> None:
    metrics = [{"name": "cycles", "run": ["x"], "pattern": r"^CYCLES:\s*(\d+)$", "better": "lower"}]
    metric = policy_from({"schema": "git-planner/policy@1", "metrics": metrics}).metrics[0]
    sentence = rf"'cycles' was not printed: nothing matches '^CYCLES:\\s*(\\d+)$'{rest}"
    assert read_metric(metric, printed.encode()) == Refusal("no_metric", sentence)


@pytest.mark.parametrize(
    ("metric", "problems"),
    [
        (
            {"run": ["x"], "from": "correctness", "pattern": "(a)"},
            ["/metrics/0: has both of 'run' and 'from'"],
        ),
        ({"pattern": "(a)"}, ["/metrics/0: has neither of 'run' and 'from'"]),
        ({"run": ["x"], "reader": "file-size"}, ["/metrics/0/file: is missing; it names the files"]),
        ({"run": ["x"], "pattern": "(a)", "value": "min"}, ["/metrics/0/value: is for metrics that have a"]),
        (
            {"run": ["x"], "pattern": "(a)", "no_worse_than": "2%"},
            ["/metrics/0/no_worse_than: is for metrics after"],
        ),
        (
            {"run": ["x"], "pattern": "(a)", "possible": [2, 1]},
            ["/metrics/0/possible: its lower bound is above"],
        ),
        (
            {"from": "correctness", "pattern": "(a)", "timeout": 5},
            ["/metrics/0/timeout: is that of 'correctness'"],
        ),
    ],
)
def test_problems_of_a_metric(metric: dict[str, object], problems: list[str]) -> None:
    tests = {"run": ["x"], "proof": "exit-status"}
    document = {"correctness": tests, "metrics": [{"name": "m", "better": "lower", **metric}]}
    sentences = policy_problems(document)
    assert len(sentences) == len(problems)
    assert all(sentence.startswith(start) for sentence, start in zip(sentences, problems, strict=True))
