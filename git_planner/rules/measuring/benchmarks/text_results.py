"""Read the printed results of 'go test -bench', criterion and GNU time. Pure."""

from __future__ import annotations

import re

from git_planner.rules.measuring.benchmarks.registry import BenchmarkEntry
from git_planner.rules.measuring.proofs.proof import report_text

_GO = re.compile(r"(Benchmark\S*?)(?:-\d{1,6})?[ \t]+\d{1,18}((?:[ \t]+[\d.e+-]{1,40} \S{1,80})+)\s*")
_GO_VALUE = re.compile(r"([\d.e+-]{1,40}) (\S{1,80})")
_NUMBER = r"([\d.]{1,40}) (ps|ns|µs|us|ms|s)"
_CRITERION = re.compile(rf"(.*?)\s+time:\s+\[{_NUMBER} {_NUMBER} {_NUMBER}\]")
_NANOSECONDS = {"ps": 1e-3, "ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
_TIME = {
    "memory": re.compile(r"^\tMaximum resident set size \(kbytes\): (\d{1,18})$", re.MULTILINE),
    "user": re.compile(r"^\tUser time \(seconds\): (\d{1,12}\.\d{1,9})$", re.MULTILINE),
    "system": re.compile(r"^\tSystem time \(seconds\): (\d{1,12}\.\d{1,9})$", re.MULTILINE),
    "page_faults": re.compile(r"^\tMajor \(requiring I/O\) page faults: (\d{1,18})$", re.MULTILINE),
}
_ELAPSED = re.compile(r"^\tElapsed .*?: (?:(\d{1,9}):)?(\d{1,9}):(\d{1,3}(?:\.\d{1,9})?)$", re.MULTILINE)


def read_go(content: bytes) -> list[BenchmarkEntry]:
    """Return the results of Go's benchmarks; names are without the number of processors."""
    entries = []
    for line in report_text(content).split("\n"):
        if match := _GO.fullmatch(line):
            values = {unit: float(number) for number, unit in _GO_VALUE.findall(match[2])}
            entries.append(BenchmarkEntry(match[1], values))
    return entries


def read_criterion(content: bytes) -> list[BenchmarkEntry]:
    """Return the estimates that criterion prints, in nanoseconds; a long name has a line of its own."""
    entries = []
    before = ""
    for line in report_text(content).split("\n"):
        if match := _CRITERION.fullmatch(line.rstrip()):
            low, estimate, high = (
                float(match[place]) * _NANOSECONDS[match[place + 1]] for place in (2, 4, 6)
            )
            name = match[1].strip() or before
            entries.append(BenchmarkEntry(name, {"low": low, "estimate": estimate, "high": high}))
        before = line.strip() or before
    return entries


def read_gnu_time(content: bytes) -> list[BenchmarkEntry]:
    """Return what '/usr/bin/time -v' prints: memory in kB, times in seconds.

    Raises:
        ValueError: the report appears twice, as if the measured program had printed one.
    """
    text = report_text(content)
    values: dict[str, float] = {}
    for name, pattern in _TIME.items():
        numbers = pattern.findall(text)
        if len(numbers) > 1:
            raise ValueError(f"'{name}' appears {len(numbers)} times")
        if numbers:
            values[name] = float(numbers[0])
    for hours, minutes, seconds in _ELAPSED.findall(text):
        values["elapsed"] = int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
    return [BenchmarkEntry("time", values)] if values else []
