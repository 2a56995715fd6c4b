"""Results of benchmarks in every format that a metric can name, as the real tools write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from git_planner.rules.measuring.benchmarks.registry import FORMATS, command_with_result, read_benchmark
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.parse import UNITS

SCHEMA = Path(__file__).parents[3] / "git_planner/schemas/policy.json"
# pytest-benchmark 5.3
PYTEST = json.dumps(
    {
        "benchmarks": [
            {
                "group": None,
                "name": "test_add",
                "fullname": "test_b.py::test_add",
                "params": None,
                "stats": {
                    "min": 5.1e-08,
                    "max": 8.0e-05,
                    "mean": 1.5e-07,
                    "median": 5.2e-08,
                    "outliers": "4;7",
                },
            }
        ],
        "version": "5.3.1",
    }
)
# hyperfine 1.15
HYPERFINE = json.dumps(
    {
        "results": [
            {"command": "true", "mean": 0.0, "median": 0.0, "times": [0.0], "exit_codes": [0]},
            {"command": "sleep 0.01", "mean": 0.0194, "median": 0.0103, "min": 0.0085, "times": [0.01]},
        ]
    }
)
# google-benchmark 1.7, with two repetitions
GOOGLE = json.dumps(
    {
        "context": {"num_cpus": 2},
        "benchmarks": [
            {
                "name": "BM_Add/8",
                "run_type": "iteration",
                "cpu_time": 2.0,
                "real_time": 3.0,
                "time_unit": "us",
            },
            {
                "name": "BM_Add/8",
                "run_type": "iteration",
                "cpu_time": 4.0,
                "real_time": 5.0,
                "time_unit": "us",
            },
            {"name": "BM_Add/8_mean", "run_type": "aggregate", "cpu_time": 3.0, "time_unit": "us"},
        ],
    }
)
# go 1.19, -benchmem -count 2
GO = """goos: linux
pkg: example.com/adder
cpu: AMD EPYC
BenchmarkAdd-2   	    1000	         0.6310 ns/op	       8 B/op	       0 allocs/op
BenchmarkAdd-2   	    1000	        22.07 ns/op	       8 B/op	       0 allocs/op
PASS
ok  	example.com/adder	0.027s
"""
CRITERION = """Benchmarking fib 20
fib 20                  time:   [26.029 µs 26.251 µs 26.505 µs]
                        change: [-1.2% -0.5% +0.3%] (p = 0.2 > 0.05)
a group with a long name/and a parameter
                        time:   [1.0000 ms 1.5000 ms 2.0000 ms]
"""
# GNU time 1.9
TIME = """of the program itself
	Command being timed: "true"
	User time (seconds): 0.25
	System time (seconds): 0.00
	Elapsed (wall clock) time (h:mm:ss or m:ss): 1:02.50
	Maximum resident set size (kbytes): 1008
	Major (requiring I/O) page faults: 0
"""
JMH = json.dumps(
    [
        {
            "benchmark": "org.App.run",
            "mode": "thrpt",
            "params": {"size": "10"},
            "primaryMetric": {"score": 12.5, "scoreError": "NaN", "scoreUnit": "ops/s"},
            "secondaryMetrics": {"gc.alloc.rate": {"score": 3.0}},
        }
    ]
)
ASV = json.dumps(
    {
        "commit_hash": "x",
        "result_columns": ["result", "params", "version"],
        "results": {
            "b.track_n": [[42], [], "1"],
            "b.T.time_p": [[0.5, None], [["1", "2"]], "2"],
            "b.broken": [None, [], "3"],
        },
        "version": 2,
    }
)


@pytest.mark.parametrize(
    ("reader", "content", "benchmark", "value", "number"),
    [
        ("pytest-benchmark", PYTEST, None, None, 5.2e-08),
        ("pytest-benchmark", PYTEST, "test_b.py::test_add", "min", 5.1e-08),
        ("hyperfine", HYPERFINE, "sleep 0.01", None, 0.0103),
        ("google-benchmark", GOOGLE, None, None, 3000.0),
        ("google-benchmark", GOOGLE, "BM_Add/8", "real_time", 4000.0),
        ("go", GO, None, None, 11.3505),
        ("go", GO, "BenchmarkAdd", "B/op", 8.0),
        ("criterion", CRITERION, "fib 20", None, 26251.0),
        ("criterion", CRITERION, "a group with a long name/and a parameter", "low", 1e6),
        ("gnu-time", TIME, None, None, 1008.0),
        ("gnu-time", TIME, None, "elapsed", 62.5),
        ("gnu-time", TIME, None, "user", 0.25),
        ("jmh", JMH, None, None, 12.5),
        ("jmh", JMH, "org.App.run(size=10)", "gc.alloc.rate", 3.0),
        ("asv", ASV, "b.track_n", None, 42.0),
        ("asv", ASV, "b.T.time_p(1)", None, 0.5),
    ],
)
def test_results_of_the_real_tools(
    reader: str, content: str, benchmark: str | None, value: str | None, number: float
) -> None:
    read = read_benchmark("m", reader, [content.encode()], benchmark=benchmark, value=value)
    assert read == pytest.approx(number, rel=1e-12)


@pytest.mark.parametrize(
    ("reader", "content", "benchmark", "value", "sentence"),
    [
        (
            "hyperfine",
            HYPERFINE,
            None,
            None,
            "'m': 2 benchmarks ran ('true', 'sleep 0.01'); 'benchmark' names one",
        ),
        ("go", GO, "BenchmarkX", None, "'m': 'BenchmarkX' did not run; these did: 'BenchmarkAdd'"),
        (
            "go",
            GO,
            None,
            "MB/s",
            "'m': 'BenchmarkAdd' has no value 'MB/s'; it has 'B/op', 'allocs/op', 'ns/op'",
        ),
        ("go", "", None, None, "'m': 'go' has no results"),
        ("gnu-time", TIME + TIME, None, None, "'m': the results are not those of 'gnu-time'"),
        ("jmh", "{}", None, None, "'m': the results are not those of 'jmh'"),
        ("asv", '{"results": 1}', None, None, "'m': the results are not those of 'asv'"),
        (
            "hyperfine",
            '{"results": [{"command": 1}]}',
            None,
            None,
            "'m': the results are not those of 'hyperfine'",
        ),
        (
            "google-benchmark",
            "[" * 100_000,
            None,
            None,
            "'m': the results are not those of 'google-benchmark'",
        ),
        (
            "jmh",
            '[{"benchmark": "a", "primaryMetric": {"score": NaN}}]',
            None,
            None,
            "'m': 'score' of 'a' is not finite",
        ),
    ],
)
def test_what_holds_no_value(
    reader: str, content: str, benchmark: str | None, value: str | None, sentence: str
) -> None:
    refusal = read_benchmark("m", reader, [content.encode()], benchmark=benchmark, value=value)
    assert isinstance(refusal, Refusal)
    assert refusal.sentence == sentence
    assert refusal.verdict == "invalid"


def test_every_reader_has_a_unit_and_is_in_the_schema() -> None:
    named = json.loads(SCHEMA.read_text())["$defs"]["metric"]["properties"]["reader"]["enum"]
    assert set(named) == set(FORMATS) == set(UNITS)


def test_the_results_of_a_command() -> None:
    assert command_with_result("hyperfine", ["hyperfine", "true"], "/r") == (
        *("hyperfine", "true", "--export-json", "/r"),
    )
    assert command_with_result(None, ["bench", "-o", "{result}"], "/r") == ("bench", "-o", "/r")
    assert command_with_result("gnu-time", ["time", "-v", "-o", "{result}", "x"], "/r")[3] == "/r"
    assert command_with_result("go", ["go", "test"], "/r") == ("go", "test")
