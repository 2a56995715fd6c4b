"""Read the JSON results of pytest-benchmark, hyperfine, google-benchmark, jmh and asv. Pure.

What is not of the expected form raises ValueError, KeyError, TypeError, AttributeError or OverflowError.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from git_planner.rules.measuring.benchmarks.registry import BenchmarkEntry
from git_planner.rules.measuring.proofs.proof import report_text

_NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


def read_pytest(content: bytes) -> list[BenchmarkEntry]:
    """Return the results of pytest-benchmark, in seconds; names are those of the tests, with their files."""
    return [
        BenchmarkEntry(_text(entry["fullname"]), _numbers(entry["stats"]))
        for entry in _load(content)["benchmarks"]
    ]


def read_hyperfine(content: bytes) -> list[BenchmarkEntry]:
    """Return the results of hyperfine, in seconds; names are the commands, or those of '--command-name'."""
    return [BenchmarkEntry(_text(entry["command"]), _numbers(entry)) for entry in _load(content)["results"]]


def read_google(content: bytes) -> list[BenchmarkEntry]:
    """Return the results of google-benchmark, in nanoseconds; aggregates are left out."""
    entries = []
    for entry in _load(content)["benchmarks"]:
        if entry.get("run_type") == "aggregate":
            continue
        if entry.get("error_occurred"):
            raise ValueError("a benchmark failed")
        values = _numbers(entry)
        factor = _NANOSECONDS[entry.get("time_unit", "ns")]
        values |= {key: values[key] * factor for key in ("real_time", "cpu_time") if key in values}
        entries.append(BenchmarkEntry(_text(entry["name"]), values))
    return entries


def read_jmh(content: bytes) -> list[BenchmarkEntry]:
    """Return the results of jmh, in its own units; parameters follow the name."""
    entries = []
    for entry in _load(content, list):
        parameters = ", ".join(f"{key}={value}" for key, value in (entry.get("params") or {}).items())
        name = _text(entry["benchmark"]) + (f"({parameters})" if parameters else "")
        values = _numbers(entry["primaryMetric"])
        for key, secondary in (entry.get("secondaryMetrics") or {}).items():
            values[key] = float(secondary["score"])
        entries.append(BenchmarkEntry(name, values))
    return entries


def read_asv(content: bytes) -> list[BenchmarkEntry]:
    """Return the results of asv, in its own units; parameters follow the name.

    The description of the machine, which lies beside them, has none.
    """
    document = _load(content)
    if "results" not in document:
        return []
    columns = document.get("result_columns", ["result", "params"])
    entries: list[BenchmarkEntry] = []
    for name, row in document["results"].items():
        fields = dict(zip(columns, row if isinstance(row, list) else [[row]], strict=False))
        entries += _asv_entries(name, fields)
    return entries


def _asv_entries(name: str, fields: Mapping[str, Any]) -> Iterator[BenchmarkEntry]:
    results = fields.get("result") or []
    choices = list(product(*(fields.get("params") or [])))
    for place, result in enumerate(results):
        if isinstance(result, int | float) and not isinstance(result, bool):
            inside = ", ".join(map(str, choices[place])) if choices else ""
            yield BenchmarkEntry(f"{name}({inside})" if inside else name, {"result": float(result)})


def _load(content: bytes, kind: type = dict) -> Any:
    document = json.loads(report_text(content))
    if not isinstance(document, kind):
        raise TypeError
    return document


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {
        key: float(value)
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
