"""The formats of benchmark results that a metric can name, and the reader of each. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Literal, NamedTuple, cast

from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.stats.summary import median

MAX_RESULTS = 64 * 1024 * 1024
# In a command: the path of the file that it must write its results to.
PLACEHOLDER = "{result}"
# The size of files; it is read from the file system, and has no reader.
FILE_SIZE = "file-size"
_HERE = "git_planner.rules.measuring.benchmarks"
_MAX_SHOWN = 5


class BenchmarkEntry(NamedTuple):
    """One result of one benchmark: its figures by name."""

    name: str
    values: Mapping[str, float]


class BenchmarkFormat(NamedTuple):
    """A format of benchmark results.

    `source` is where they are read unless the metric names a file; `reader` is 'module:function' in this
    folder. `value` is the default figure. `arguments` are appended to a command that does not say where its
    results are written.
    """

    source: Literal["file", "stdout", "stderr"]
    reader: str
    value: str
    arguments: tuple[str, ...] = ()


FORMATS = MappingProxyType(
    {
        "pytest-benchmark": BenchmarkFormat(
            "file", "json_results:read_pytest", "median", ("--benchmark-json={result}",)
        ),
        "hyperfine": BenchmarkFormat(
            "file", "json_results:read_hyperfine", "median", ("--export-json", "{result}")
        ),
        "asv": BenchmarkFormat("file", "json_results:read_asv", "result"),
        "criterion": BenchmarkFormat("stdout", "text_results:read_criterion", "estimate"),
        "google-benchmark": BenchmarkFormat(
            "file",
            "json_results:read_google",
            "cpu_time",
            ("--benchmark_out={result}", "--benchmark_out_format=json"),
        ),
        "go": BenchmarkFormat("stdout", "text_results:read_go", "ns/op"),
        "jmh": BenchmarkFormat("file", "json_results:read_jmh", "score", ("-rf", "json", "-rff", "{result}")),
        "gnu-time": BenchmarkFormat("stderr", "text_results:read_gnu_time", "memory"),
        FILE_SIZE: BenchmarkFormat("file", "", "size"),
    }
)


def command_with_result(reader: str | None, run: Sequence[str], result: str) -> tuple[str, ...]:
    """Return a command with the path of its results: in place of '{result}', else as further arguments."""
    is_named = any(PLACEHOLDER in word for word in run)
    words = (*run, *(() if is_named or reader is None else FORMATS[reader].arguments))
    return tuple(word.replace(PLACEHOLDER, result) for word in words)


def read_benchmark(
    metric: str, reader: str, contents: Sequence[bytes], *, benchmark: str | None, value: str | None
) -> float | Refusal:
    """Return the value of one benchmark; the median if it was run several times.

    Args:
        metric: the name of the metric.
        reader: the format.
        contents: each file, or the stream, of one run.
        benchmark: its name; None if the results are of one benchmark only.
        value: the figure; None for the format's default.
    """
    module, _, function = FORMATS[reader].reader.partition(":")
    read = cast(
        "Callable[[bytes], list[BenchmarkEntry]]", getattr(import_module(f"{_HERE}.{module}"), function)
    )
    try:
        entries = [entry for content in contents for entry in read(content)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return Refusal("no_metric", f"'{metric}': the results are not those of '{reader}'")
    names = list(dict.fromkeys(entry.name for entry in entries))
    if not names:
        return Refusal("no_metric", f"'{metric}': '{reader}' has no results")
    if benchmark is None and len(names) > 1:
        sentence = f"'{metric}': {len(names)} benchmarks ran ({_name_list(names)}); 'benchmark' names one"
        return Refusal("ambiguous_metric", sentence)
    name = names[0] if benchmark is None else benchmark
    chosen = [entry.values for entry in entries if entry.name == name]
    if not chosen:
        return Refusal("no_metric", f"'{metric}': '{name}' did not run; these did: {_name_list(names)}")
    return _figure(metric, name, value or FORMATS[reader].value, chosen)


def _figure(metric: str, name: str, value: str, chosen: Sequence[Mapping[str, float]]) -> float | Refusal:
    figures = [values[value] for values in chosen if value in values]
    if len(figures) < len(chosen):
        known = _name_list(sorted(chosen[0]))
        return Refusal("no_metric", f"'{metric}': '{name}' has no value '{value}'; it has {known}")
    if not all(math.isfinite(figure) for figure in figures):
        return Refusal("no_metric", f"'{metric}': '{value}' of '{name}' is not finite")
    return median(figures) + 0.0


def _name_list(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return ", ".join(f"'{name[:80]}'" for name in names[:_MAX_SHOWN]) + rest
