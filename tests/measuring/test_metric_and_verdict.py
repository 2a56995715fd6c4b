"""Metrics, statistics, verdicts and the scope: the rules from printed output to decision."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.rules.guard.guard import FileChange
from git_planner.rules.guard.scope import check_guarded_changes, check_scope
from git_planner.rules.measuring import metric
from git_planner.rules.measuring.verdict import (
    Decision,
    Refusal,
    decide,
    is_reached,
    measured_text,
    refused_decision,
    summarise_samples,
)
from git_planner.rules.policy.policy import Metric
from git_planner.rules.records.ranking import attempts_since_best, pick_best
from git_planner.rules.records.record import MeasuredMetric, Record, record_from, truncate_texts
from git_planner.rules.stats import summary as statistics

CYCLES = Metric(
    name="cycles",
    run=("bench",),
    pattern=r"CYCLES:\s*(\S+)",
    pointer=None,
    unit="cycles",
    better="lower",
    kind="deterministic",
    repeats=1,
    timeout=1.0,
)
JSON = CYCLES._replace(pattern=None, pointer="/runs/0/a~1b")
WALL = CYCLES._replace(name="wall", unit="ms", kind="noisy", repeats=5)

NOT_PRINTED = r"'cycles' was not printed: nothing matches 'CYCLES:\\s*(\\S+)', and nothing was printed"
finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.mark.parametrize(
    ("stdout", "expected"),
    [
        (b"CYCLES: 1363\n", 1363.0),
        (b"noise\xff\nCYCLES: 1363\nCYCLES:1363.0\n", 1363.0),
        (b"CYCLES: -1.5e3", -1500.0),
        (b"", Refusal("no_metric", NOT_PRINTED)),
        (
            b"CYCLES: 1\nCYCLES: 1363\n",
            Refusal("ambiguous_metric", "'cycles' was printed with 2 values: 1, 1363"),
        ),
        (b"CYCLES: nan\n", Refusal("no_metric", "'cycles' is 'nan', which is not a finite number")),
        (b"CYCLES: 1e999\n", Refusal("no_metric", "'cycles' is '1e999', which is not a finite number")),
        (b"CYCLES: 1_000\n", Refusal("no_metric", "'cycles' is '1_000', which is not a finite number")),
        (
            "CYCLES: \u0663\n".encode(),
            Refusal("no_metric", "'cycles' is '\u0663', which is not a finite number"),
        ),
        (b"CYCLES: 0x10\n", Refusal("no_metric", "'cycles' is '0x10', which is not a finite number")),
    ],
)
def test_patterns(stdout: bytes, expected: float | Refusal) -> None:
    assert metric.read_metric(CYCLES, stdout) == expected


def test_a_negative_zero_is_zero() -> None:
    assert str(metric.read_metric(CYCLES, b"CYCLES: -0\n")) == "0.0"


@pytest.mark.parametrize(
    ("stdout", "expected"),
    [
        (b'{"runs": [{"a/b": 7}]}', 7.0),
        (b'{"runs": [{"a/b": 7.25}]}', 7.25),
        (b'{"runs": [{"a/b": true}]}', Refusal("no_metric", "'cycles': '/runs/0/a~1b' holds no number")),
        (b'{"runs": [{"a/b": "7"}]}', Refusal("no_metric", "'cycles': '/runs/0/a~1b' holds no number")),
        (b'{"runs": [{"a/b": NaN}]}', Refusal("no_metric", "'cycles': '/runs/0/a~1b' is not finite")),
        (b'{"runs": []}', Refusal("no_metric", "'cycles': stdout has nothing at '/runs/0/a~1b'")),
        (
            b'{"runs": [{"a/b": 7, "a/b": 1}]}',
            Refusal("ambiguous_metric", "'cycles': the key 'a/b' appears twice on stdout"),
        ),
        (
            b"{} {}",
            Refusal(
                "no_metric",
                "'cycles': stdout is not one JSON document ('Extra data: line 1 column 4 (char 3)')",
            ),
        ),
    ],
)
def test_pointers(stdout: bytes, expected: float | Refusal) -> None:
    assert metric.read_metric(JSON, stdout) == expected


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000])
def test_deep_nesting_is_answered(deep: bytes) -> None:
    assert isinstance(metric.read_metric(JSON, deep), Refusal)


@given(finite)
def test_every_finite_number_is_read_back(value: float) -> None:
    assert metric.read_metric(CYCLES, f"CYCLES: {value!r}\n".encode()) == value
    assert metric.read_metric(JSON, json.dumps({"runs": [{"a/b": value}]}).encode()) == value


@given(st.lists(finite, min_size=1, max_size=20))
def test_median_and_spread(samples: list[float]) -> None:
    import statistics as oracle

    middle = statistics.median(samples)
    assert math.isclose(middle, oracle.median(samples), rel_tol=1e-12, abs_tol=1e-30)
    away = [abs(sample - middle) for sample in samples]
    assert math.isclose(statistics.spread(samples), oracle.median(away), rel_tol=1e-12, abs_tol=1e-30)
    assert min(samples) <= middle <= max(samples)


def test_no_samples_no_median() -> None:
    with pytest.raises(ValueError, match="no samples"):
        statistics.median([])


def test_repeats_of_a_deterministic_metric_must_agree() -> None:
    assert summarise_samples(CYCLES, [7.0, 7.0]) == MeasuredMetric(
        "cycles", "cycles", "lower", (7.0, 7.0), 7.0, 0.0
    )
    assert summarise_samples(CYCLES, [7.0, 8.0]) == Refusal(
        "unsteady_metric", "'cycles' changed between repeats: 7, 8"
    )
    assert summarise_samples(WALL, [7.0, 8.0, 12.0]) == MeasuredMetric(
        "wall", "ms", "lower", (7.0, 8.0, 12.0), 8.0, 1.0
    )


def measured(*samples: float, of: Metric = CYCLES) -> MeasuredMetric:
    metric_ = summarise_samples(of, samples)
    assert isinstance(metric_, MeasuredMetric)
    return metric_


@pytest.mark.parametrize(
    ("own", "rival", "better", "verdict", "delta", "summary"),
    [
        (90.0, 100.0, "lower", "improved", -10.0, "cycles 90 (-10 against 100)"),
        (100.0, 100.0, "lower", "within_noise", 0.0, "cycles 100 (0 against 100)"),
        (101.0, 100.0, "lower", "worse", 1.0, "cycles 101 (+1 against 100)"),
        (101.0, 100.0, "higher", "improved", 1.0, "cycles 101 (+1 against 100)"),
        (99.5, 100.0, "higher", "worse", -0.5, "cycles 99.5 (-0.5 against 100)"),
    ],
)
def test_deterministic_verdicts(  # noqa: PLR0917 - one parameter a column
    own: float, rival: float, better: Literal["lower", "higher"], verdict: str, delta: float, summary: str
) -> None:
    rule = CYCLES._replace(better=better)
    decision = decide(rule, measured(own, of=rule), measured(rival, of=rule))
    assert decision == Decision(verdict, None, rival, delta, summary)  # type: ignore[arg-type]


def test_the_first_valid_noisy_result_is_the_best() -> None:
    assert decide(WALL, measured(98.0, 100.0, 102.0, of=WALL), None).verdict == "improved"


@given(finite, finite)
def test_verdicts_mirror_each_other(one: float, other: float) -> None:
    there = decide(CYCLES, measured(one), measured(other)).verdict
    back = decide(CYCLES, measured(other), measured(one)).verdict
    mirror = {"improved": "worse", "worse": "improved", "within_noise": "within_noise"}
    assert back == mirror[there]


def test_refusals() -> None:
    assert refused_decision(Refusal("crash", "it fell"), 7.0) == Decision(
        "unmeasured", "crash", 7.0, None, "the benchmark crashed: it fell"
    )
    assert refused_decision(Refusal("guard", "'tests/x'"), None).verdict == "invalid"


@pytest.mark.parametrize(
    ("value", "threshold", "direction", "expected"),
    [(90, 90, "lower", True), (91, 90, "lower", False), (91, 90, "higher", True), (1, None, "lower", False)],
)
def test_thresholds(value: float, threshold: float | None, direction: Any, expected: bool) -> None:
    assert is_reached(value, threshold, direction) is expected


def test_values_in_words() -> None:
    assert measured_text(measured(1363.0)) == "cycles 1363"
    assert measured_text(measured(12.5, of=WALL)) == "wall 12.5 ms"


def result(verdict: Any, value: float | None, *, kind: Any = "attempt", instrument: str = "a") -> Record:
    metrics = () if value is None else (MeasuredMetric("cycles", "cycles", "lower", (value,), value, 0.0),)
    return Record(
        id=f"20261121T000000Z-{verdict}",
        plan="default",
        kind=kind,
        verdict=verdict,
        reason=None,
        commit="0" * 40,
        tree="0" * 40,
        patch_id=None,
        base="0" * 40,
        branch=None,
        iteration=None,
        slug=None,
        instrument=instrument,
        environment_digest=None,
        metrics=metrics,
    )


def test_the_best_follows_verdicts_not_luck() -> None:
    rows = [
        result("within_noise", 100.0, kind="baseline"),
        result("within_noise", 99.0),
        result("improved", 90.0),
        result("improved", 90.0),
        result("invalid", None),
        result("worse", 95.0),
        result("improved", 10.0, instrument="b"),
    ]
    assert pick_best(rows, instrument="a") is rows[2]
    assert pick_best(rows) is rows[6]
    assert pick_best([]) is None
    assert pick_best(rows[4:5]) is None
    assert attempts_since_best(rows, instrument="a") == 2
    assert attempts_since_best(rows[:2]) == 1
    assert attempts_since_best([]) is None


@given(st.lists(st.integers(1, 20), min_size=1, max_size=20))
def test_with_a_deterministic_metric_the_best_is_the_smallest(values: list[int]) -> None:
    rows: list[Record] = []
    for value in values:
        top = pick_best(rows)
        verdict = decide(CYCLES, measured(float(value)), top.metrics[0] if top else None).verdict
        rows.append(result(verdict, float(value)))
    top = pick_best(rows)
    assert top is not None
    assert top.value == min(values)
    assert rows.index(top) == values.index(min(values))
    assert attempts_since_best(rows) == len(values) - 1 - values.index(min(values))


def test_records_survive_their_documents() -> None:
    record = result("improved", 90.0).with_(files=("a",), notes=("b",), strategy=("c",))
    assert record_from(json.loads(json.dumps(record.document()))) == record


def test_long_texts_are_cut() -> None:
    record = truncate_texts(
        result("improved", 90.0).with_(summary="x" * 30_000, notes=("y" * 30_000,) * 2_000)
    )
    assert (len(record.summary), len(record.notes), len(record.notes[0])) == (20_000, 1_000, 20_000)


def test_the_guard() -> None:
    changes = [
        FileChange("tests/a.py", "M", "100644", "100644"),
        FileChange("tests/b.py", "D", "100644", "000000"),
        FileChange("tests/c.py", "T", "100644", "120000"),
        FileChange("tests/d.py", "M", "100644", "100755"),
        FileChange("tests/e.py", "A", "000000", "100644"),
        FileChange("tests/f.py", "A", "000000", "160000"),
    ]
    twice = [FileChange("d", "A", "000000", "120000")] * 2
    assert check_guarded_changes(twice) == (Refusal("guard", "'d'"), ("added: d",))
    assert check_guarded_changes([]) is None
    assert check_guarded_changes(changes) == (
        Refusal("guard", "'tests/a.py', 'tests/b.py', 'tests/c.py', 'tests/d.py', 'tests/e.py' and 1 more"),
        (
            "changed: tests/a.py",
            "deleted: tests/b.py",
            "mode 100644 to 120000: tests/c.py",
            "mode 100644 to 100755: tests/d.py",
            "added: tests/e.py",
            "added: tests/f.py",
        ),
    )


def test_the_scope() -> None:
    changed = ["src/a.py", "src/frozen.py", "other.py"]
    assert check_scope(changed, None, set()) is None
    assert check_scope(changed, set(changed), set()) is None
    assert check_scope(changed, {"src/a.py", "src/frozen.py"}, {"src/frozen.py"}) == (
        Refusal("scope", "'src/frozen.py', 'other.py'"),
        ("forbidden: src/frozen.py", "not allowed: other.py"),
    )


@pytest.mark.parametrize(
    ("tool", "stderr", "expected"),
    [
        ("perf", b"hello\n157799986,,instructions:u,5021,100.00,,\n", 157799986.0),
        ("perf", b"12,,instructions:u,1,1,,\n13,,instructions:u,1,1,,\n", "ambiguous_metric"),
        ("perf", b"<not supported>,,instructions:u,0,100.00,,\n", "no_metric"),
        ("valgrind", b"==7== I   refs:      1,875,814\n==8== I refs: 10\n", 1875824.0),
        ("valgrind", b"==7== I   refs:      -5\n", "no_metric"),
        ("valgrind", b"", "no_metric"),
    ],
)
def test_counts_of_instructions(tool: Any, stderr: bytes, expected: float | str) -> None:
    count = metric.read_count("instructions", tool, stderr)
    assert (count.reason if isinstance(count, Refusal) else count) == expected
