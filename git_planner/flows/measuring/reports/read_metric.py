"""Read the value of a metric from what a run printed or left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from git_planner.flows.measuring.reports.left_files import (
    find_left_files,
    is_regular,
    read_bounded,
    remove_left_files,
)
from git_planner.host import bounded_call, jail, process
from git_planner.rules.measuring import metric as metric_output
from git_planner.rules.measuring.benchmarks import registry
from git_planner.rules.measuring.constraints import implausible
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Metric

_RESULT = "result"


def prepare_result(metric: Metric, run: Sequence[str], place: Path) -> tuple[str, ...]:
    """Return the command with the path of its results; remove results that the tree brings with it.

    Args:
        metric: the metric.
        run: its command, or that of the tests.
        place: the folder from `export.exported`.
    """
    result = _result_path(place)
    reader = metric.reader if metric.file is None else None
    argv = registry.command_with_result(reader, run, str(result))
    if argv != tuple(run):
        result.parent.mkdir(exist_ok=True)
    if metric.file is not None and metric.reader != registry.FILE_SIZE:
        remove_left_files(place / "tree", metric.file)
    return argv


def read_value(metric: Metric, done: process.Finished, place: Path) -> float | Refusal:
    """Read a metric after its run; a value that the policy calls impossible is refused."""
    contents = _contents(metric, done, place)
    if isinstance(contents, Refusal):
        return contents
    # What may be read takes no longer than what may be measured.
    read = bounded_call.call(lambda: _value(metric, contents), seconds=metric.timeout)
    if isinstance(read, bounded_call.Stopped):
        place_name = "its results" if metric.file or metric.reader else "stdout"
        return Refusal("no_metric", f"'{metric.name}': reading it from {place_name} {read.why}")
    return read if isinstance(read, Refusal) else implausible(metric, read) or read


def _value(metric: Metric, contents: Sequence[bytes] | int) -> float | Refusal:
    if isinstance(contents, int):
        return float(contents)
    if metric.reader is not None:
        return registry.read_benchmark(
            metric.name, metric.reader, contents, benchmark=metric.benchmark, value=metric.value
        )
    return metric_output.read_metric(metric, b"\n".join(contents))


def _contents(metric: Metric, done: process.Finished, place: Path) -> list[bytes] | int | Refusal:
    """Return what is to be read; a number is the size of files."""
    if metric.file is not None:
        return _left_contents(metric, metric.file, place)
    source = registry.FORMATS[metric.reader].source if metric.reader else "stdout"
    result = _result_path(place)
    if is_regular(result):
        return _bounded(metric, [result])
    if source == "file":
        return Refusal("no_metric", f"'{metric.name}': the command left no results for '{metric.reader}'")
    if done.truncated if source == "stderr" else done.stdout_truncated:
        return Refusal("no_metric", f"'{metric.name}': more was printed than is read")
    return [done.stderr if source == "stderr" else done.stdout]


def _left_contents(metric: Metric, pattern: str, place: Path) -> list[bytes] | int | Refusal:
    paths = find_left_files(place / "tree", pattern)
    if not paths:
        return Refusal("no_metric", f"'{metric.name}': no file matches '{pattern}'")
    if metric.reader == registry.FILE_SIZE:
        return sum(path.stat().st_size for path in paths)
    return _bounded(metric, paths)


def _bounded(metric: Metric, paths: list[Path]) -> list[bytes] | Refusal:
    contents = read_bounded(paths, registry.MAX_RESULTS)
    if sum(map(len, contents)) > registry.MAX_RESULTS:
        return Refusal("no_metric", f"'{metric.name}': the results have more bytes than are read")
    return contents


def _result_path(place: Path) -> Path:
    return place / jail.RESULTS / _RESULT
