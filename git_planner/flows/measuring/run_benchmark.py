"""Run the instrument: the correctness command and the metrics of a policy.

Each run gets the tree as git holds it, a fresh home folder and no processes of earlier runs.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from git_planner.flows.measuring.command_runner import CommandRunner
from git_planner.flows.measuring.measuring_lease import measuring_lease
from git_planner.flows.measuring.prepared.measured_folder import MeasuredFolder
from git_planner.flows.measuring.prepared.unprepared import UnpreparedError
from git_planner.flows.measuring.reports.read_metric import prepare_result, read_value
from git_planner.flows.measuring.reports.read_tests import prepare_report, read_tests
from git_planner.flows.measuring.reports.waiting import Durations, watch_tests
from git_planner.gitio.content.placeholders import find_placeholders
from git_planner.gitio.repository import Repository
from git_planner.host import cpu_affinity, instruction_counter, process
from git_planner.host.instruction_counter import Counter
from git_planner.host.machine import search_path
from git_planner.progress import Progress, Step, ticker
from git_planner.rules.measuring import correctness_report, verdict
from git_planner.rules.measuring import metric as metric_output
from git_planner.rules.measuring.proofs import registry
from git_planner.rules.measuring.proofs.proof import Proof
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Correctness, Metric, Policy
from git_planner.rules.records.record import MeasuredMetric

if TYPE_CHECKING:
    from git_planner.flows.measuring.paired_runs import Rival
    from git_planner.rules.records.recorded_comparison import RecordedComparison


# Seconds between two signs of life while a metric is measured: drawing a line takes time, too.
_QUIET = 5.0


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """The result of measuring: a refusal, or the metrics in the policy's order. `seconds` by step."""

    refusal: Refusal | None
    metrics: tuple[MeasuredMetric, ...] = ()
    proof: Proof | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    comparison: RecordedComparison | None = None


def measure(
    repo: Repository,
    policy: Policy,
    tree: str,
    *,
    before: Proof | None,
    logs: Path,
    progress: Progress,
    rival: Rival | None = None,
    on_tick: Callable[[], None] | None = None,
    base: str | None = None,
) -> BenchmarkResult:
    """Run the complete instrument on a tree.

    Args:
        repo: the repository of the tree.
        policy: the trusted policy.
        tree: id of the composed tree.
        before: the proof of the instrument's baseline, whose tests must not be lost.
        logs: the folder for the commands' output; created if missing.
        progress: called with each progress message.
        rival: compare the deciding metric with this one by pairs; None repeats it as the policy says.
        on_tick: called now and then while a command runs; an exception ends it.
        base: the trusted base, whose inputs of a policy's steps are not the tree's fault (default: the tree).

    Raises:
        PlannerError: E_EXPORT, E_NO_SPACE.
    """
    with measuring_lease(repo, progress):
        benchmark = _BenchmarkRun(repo, policy, tree, logs=logs, progress=progress, base=base)
        benchmark.runner.on_tick = on_tick
        with closing(benchmark.folder):
            try:
                return benchmark.run_all(before, rival)
            except UnpreparedError as error:
                return benchmark.refused(error.refusal)


def measure_samples(
    repo: Repository,
    policy: Policy,
    tree: str,
    metric: Metric,
    runs: int,
    *,
    logs: Path,
    progress: Progress,
    base: str | None = None,
) -> list[float] | Refusal:
    """Measure one metric of a tree `runs` times; other parameters as for `measure`."""
    logs.mkdir(parents=True, exist_ok=True)
    with measuring_lease(repo, progress):
        benchmark = _BenchmarkRun(repo, policy, tree, logs=logs, progress=progress, base=base)
        with closing(benchmark.folder):
            try:
                return benchmark.samples(metric, runs)
            except UnpreparedError as error:
                return error.refusal


class _BenchmarkRun:
    """One run of the instrument, which collects durations and notes."""

    def __init__(
        self,
        repo: Repository,
        policy: Policy,
        tree: str,
        *,
        logs: Path,
        progress: Progress,
        base: str | None,
    ) -> None:
        self.repo, self.policy, self.tree, self.logs, self.progress = repo, policy, tree, logs, progress
        self.runner = CommandRunner(repo, policy, logs)
        self.folder = MeasuredFolder(self.runner, base, progress)
        self.durations = Durations(repo)
        # The folder adds the steps of the policy that it runs.
        self.seconds = self.folder.seconds
        self.notes: list[str] = []
        self.comparison: RecordedComparison | None = None
        # Values of metrics that the run of the tests has printed.
        self.read_with_tests: dict[str, float | Refusal] = {}

    def run_all(self, before: Proof | None, rival: Rival | None) -> BenchmarkResult:
        self.logs.mkdir(parents=True, exist_ok=True)
        proof: Proof | None = None
        if self.policy.correctness is None:
            self.notes.append("the policy has no correctness command")
        else:
            proven = self._check_correctness(self.policy.correctness, before)
            if isinstance(proven, Refusal):
                return self._result(proven, (), None)
            proof, refusal = proven
            if refusal is not None:
                return self._result(refusal, (), proof)
        return self._measure_metrics(proof, rival)

    def _measure_metrics(self, proof: Proof | None, rival: Rival | None) -> BenchmarkResult:
        metrics: list[MeasuredMetric] = []
        for place, metric in enumerate(self.policy.metrics):
            measured = (
                self._measure_in_pairs(metric, rival)
                if rival and place == 0
                else self._measure_metric(metric)
            )
            if isinstance(measured, MeasuredMetric):
                metrics.append(measured)
            elif place == 0 or metric.is_bounded:
                return self._result(measured, (), proof)
            else:
                self.notes.append(f"not reported: {measured.sentence}")
        return self._result(None, tuple(metrics), proof)

    def refused(self, refusal: Refusal) -> BenchmarkResult:
        """Return the result of a tree that could not be prepared."""
        return self._result(refusal, (), None)

    def _result(
        self, refusal: Refusal | None, metrics: tuple[MeasuredMetric, ...], proof: Proof | None
    ) -> BenchmarkResult:
        if refusal is not None and refusal.reason not in ("no_jail", "missing_tool"):
            # The likely cause: files that the person has on disk are not in the measured tree.
            sentences = find_placeholders(self.repo, self.tree).sentences()
            self.notes += [f"in the measured tree {sentence}" for sentence in sentences]
        seconds = {step: round(took, 3) for step, took in self.seconds.items()}
        return BenchmarkResult(refusal, metrics, proof, seconds, tuple(self.notes), self.comparison)

    def _check_correctness(
        self, correctness: Correctness, before: Proof | None
    ) -> tuple[Proof | None, Refusal | None] | Refusal:
        took = self.durations.of(correctness.run)
        self.progress(Step(f"correctness: {' '.join(correctness.run)}", took))
        with self.folder.holding(self.tree) as place:
            argv = prepare_report(correctness, place)
            from_tests = [metric for metric in self.policy.metrics if metric.from_tests]
            for metric in from_tests:
                argv = prepare_result(metric, argv, place)
            done = self._run_command("correctness", argv, correctness.timeout, place)
            if isinstance(done, Refusal):
                return done
            self.durations.note(correctness.run, done.seconds)
            for metric in from_tests:
                self.read_with_tests[metric.name] = read_value(metric, done, place)
            if correctness.proof == registry.EXIT_STATUS:
                self.notes.append(correctness_report.EXIT_STATUS_NOTE)
                return None, correctness_report.check_status(done.status, correctness.exit_statuses)
            read = read_tests(correctness, done, place)
        if isinstance(read, Refusal):
            return Refusal(read.reason, f"{read.sentence}{_stderr_tail(done)}")
        refusal = correctness_report.check_proof(
            read,
            status=done.status,
            require=correctness.require,
            before=before,
            may_fail=correctness.may_fail,
            accepted=correctness.exit_statuses,
        )
        notes = (
            correctness_report.skip_note(read, before),
            correctness_report.admitted_note(read, correctness.may_fail),
        )
        self.notes += [note for note in notes if note]
        return read, refusal

    def _measure_metric(self, metric: Metric) -> MeasuredMetric | Refusal:
        values = self.samples(metric, metric.repeats)
        return values if isinstance(values, Refusal) else verdict.summarise_samples(metric, values)

    def _measure_in_pairs(self, metric: Metric, rival: Rival) -> MeasuredMetric | Refusal:
        from git_planner.flows.measuring.paired_runs import compare_in_pairs

        comparison = compare_in_pairs(
            metric, rival, lambda tree, name: self._measure_sample(metric, tree, name), self.progress
        )
        if isinstance(comparison, Refusal):
            return comparison
        self.comparison = comparison
        return verdict.summarise_samples(metric, comparison.candidate)

    def samples(self, metric: Metric, runs: int) -> list[float] | Refusal:
        """Measure one metric `runs` times and return its values."""
        values = []
        for turn in range(1, runs + 1):
            value = self.read_with_tests.pop(metric.name, None)
            if value is None:
                mean = self.seconds.get(metric.name, 0.0) / (turn - 1) if turn > 1 else 0.0
                left = mean * (runs - turn + 1) or None
                self.progress(Step(f"{metric.name} ({turn} of {runs}): {' '.join(metric.run)}", left))
                value = self._measure_sample(metric, None, f"{metric.name}-{turn}")
            if isinstance(value, Refusal):
                return value
            values.append(value)
        return values

    def _measure_sample(self, metric: Metric, tree: str | None, name: str) -> float | Refusal:
        """Measure one run of a metric, on the measured tree or on another one."""
        counting = instruction_counter.find(search_path()) if metric.source == "instructions" else None
        if metric.source == "instructions" and counting is None:
            return Refusal(
                "missing_tool",
                f"'{metric.name}': neither perf nor valgrind counts instructions here",
            )
        with self.folder.holding(tree or self.tree) as place:
            run = metric.run
            if metric.from_tests and self.policy.correctness is not None:
                run = prepare_report(self.policy.correctness, place)
            argv = prepare_result(metric, run, place)
            done = self._run_command(name, argv, metric.timeout, place, metric=metric, counting=counting)
            if isinstance(done, Refusal):
                return done
            if done.status not in metric.exit_statuses and not metric.from_tests:
                return Refusal("crash", f"'{metric.name}' {_exit_message(done.status)}{_stderr_tail(done)}")
            if counting is None:
                return read_value(metric, done, place)
        # Counts of instructions are read from stderr.
        if done.truncated:
            return Refusal("no_metric", f"'{metric.name}': more was printed than is read")
        return metric_output.read_count(metric.name, counting.tool, done.stderr)

    def _run_command(
        self,
        name: str,
        argv: Sequence[str],
        timeout: float,
        place: Path,
        *,
        metric: Metric | None = None,
        counting: Counter | None = None,
    ) -> process.Finished | Refusal:
        nonce = secrets.token_hex(16) if metric and metric_output.is_sealed(metric) else ""
        watch = ticker(self.progress, _QUIET) if metric else watch_tests(self.logs, name, self.progress)
        with cpu_affinity.pinned(cpu_affinity.choose() if metric and metric.pin else None) as free:
            ran = self.runner.run(
                name,
                argv,
                place,
                seconds=timeout,
                stdin=f"{nonce}\n".encode() if nonce else b"",
                before=counting.prefix if counting else (),
                on_start=free,
                watch=watch,
            )
        if ran.done is not None:
            step = metric.name if metric else name
            self.seconds[step] = self.seconds.get(step, 0.0) + ran.done.seconds
        if ran.refusal is not None or ran.done is None:
            return ran.refusal or Refusal("crash", f"'{argv[0]}' was not started")
        done = ran.done
        return replace(done, stdout=metric_output.replace_nonce(done.stdout, nonce)) if nonce else done


def _exit_message(status: int) -> str:
    return f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"


def _stderr_tail(done: process.Finished) -> str:
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return f"; stderr: {lines[-1].strip()[:300]}" if lines else ""
