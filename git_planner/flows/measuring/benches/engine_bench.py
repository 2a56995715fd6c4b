"""Bench on a worker of an engine: one worker measures all that is compared with each other.

The trees are sent along, without any history. What comes back is checked against what was asked, and the
verdict is decided here. A worker that is lost takes everything with it that belongs together.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from git_planner import documents, redact
from git_planner.engines.choose import open_engine
from git_planner.engines.contract import Engine, EngineJob, JobOutcome, PinnedWorker, WorkerLostError
from git_planner.engines.git_data import describe_trees
from git_planner.errors import PlannerError
from git_planner.flows.measuring.benches.bench_job import FUNCTION
from git_planner.flows.measuring.benches.engine_choice import EngineChoice
from git_planner.flows.measuring.environment import Site
from git_planner.flows.measuring.instrument_digest import instrument_digest_at
from git_planner.flows.measuring.paired_runs import Rival
from git_planner.flows.measuring.run_benchmark import BenchmarkResult
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress, Step
from git_planner.rules.documents import canonical_json
from git_planner.rules.measuring import measurement
from git_planner.rules.measuring.measurement import Measurement, MeasurementError, MeasuringRequest
from git_planner.rules.measuring.proofs.proof import Proof
from git_planner.rules.measuring.verdict import Refusal, summarise_samples
from git_planner.rules.policy.policy import Metric, Policy
from git_planner.rules.records.record import MeasuredMetric
from git_planner.rules.records.recorded_comparison import RecordedComparison, summarize_comparison
from git_planner.rules.stats.paired_design import MOST_EXTRA, Round, evaluate_rounds

# Seconds for a worker to describe itself, and those that a measurement may take besides the policy's limits.
FIRST_SECONDS, GRACE_SECONDS = 600.0, 600.0
_LONGEST_ROUND = 5 + MOST_EXTRA


class EngineBench:
    """A bench on one worker of an engine; on another one when that is lost.

    Args:
        repo: the repository.
        choice: the engine.
        progress: called with each progress message.
        seconds: the most seconds of one measurement (default: the policy's limits and ten minutes).
    """

    keeps_rounds = False

    def __init__(
        self, repo: Repository, choice: EngineChoice, progress: Progress, *, seconds: float | None = None
    ) -> None:
        self.repo, self.choice, self.progress, self.seconds = repo, choice, progress, seconds
        self._name = canonical_json.digest([os.uname().nodename, str(repo.common)])[:32]
        self._stack = ExitStack()
        self._engine: Engine | None = None
        self._worker: PinnedWorker | None = None
        self._sites: dict[str, Site] = {}
        self._lost: set[str] = set()

    def close(self) -> None:
        """Leave the engine."""
        self._stack.close()

    def site(self, base: str, policy: Policy) -> Site:
        """Describe the worker that measures from now on; choose one if there is none."""
        tree = self.repo.resolve(base, "tree")
        if self._worker is None or tree not in self._sites:
            request = MeasuringRequest(tree, instrument_digest_at(self.repo, base), policy)
            measured = self._ask(request, FIRST_SECONDS if self.seconds is None else self.seconds)
            site = Site(measured.environment, {}, measured.environment_digest)
            self._sites[tree] = site
        return self._sites[tree]

    def measure(
        self,
        base: str,
        policy: Policy,
        tree: str,
        *,
        before: Proof | None,
        logs: Path,
        progress: Progress,
        rival: Rival | None = None,
    ) -> BenchmarkResult:
        """Run the instrument on the worker; see `bench.Bench`."""
        request = self._request(base, policy, tree)
        if rival is not None:
            begun = tuple(Round(order, tuple(values)) for order, values in rival.begun)
            request = replace(request, rival=(rival.tree, rival.plan), begun=begun)
        request = replace(request, before=before)
        progress(Step(f"{self._place}: tests and metrics of {tree[:12]}"))
        measured = self._ask(request, self.seconds or _time_limit(policy, request))
        _write_logs(measured, logs)
        if rival is not None and measured.rounds:
            rival.keep([(row.order, row.values) for row in measured.rounds])
        return _result(measured, policy, rival)

    def samples(
        self,
        base: str,
        policy: Policy,
        tree: str,
        metric: Metric,
        runs: int,
        *,
        logs: Path,
        progress: Progress,
    ) -> list[float] | Refusal:
        """Measure one metric on the worker; see `bench.Bench`."""
        only = policy._replace(metrics=(metric,), correctness=None)
        request = replace(self._request(base, policy, tree), runs=runs, policy=only)
        progress(Step(f"{self._place}: {runs} runs of {metric.name} of {tree[:12]}"))
        measured = self._ask(request, self.seconds or runs * 2 * metric.timeout + GRACE_SECONDS)
        _write_logs(measured, logs)
        return measured.refusal or list(measured.samples[metric.name])

    @property
    def _place(self) -> str:
        return "a worker" if self._worker is None else self._worker.name

    def _request(self, base: str, policy: Policy, tree: str) -> MeasuringRequest:
        site = self.site(base, policy)
        return MeasuringRequest(
            self.repo.resolve(base, "tree"),
            instrument_digest_at(self.repo, base),
            policy,
            tree=tree,
            environment=site.digest,
        )

    def _ask(self, request: MeasuringRequest, seconds: float) -> Measurement:
        """Let the worker measure.

        Raises:
            WorkerLostError: it has died or not answered in time; another one is taken next time.
            PlannerError: E_REMOTE for an answer that does not fit the request; what the job raises.
        """
        job = EngineJob("measure", self._payload(request, seconds))
        name = self._place
        try:
            outcome = self._call(job, seconds)
            name = self._place
            return _checked(outcome, request)
        except MeasurementError as error:
            self._leave()
            raise PlannerError(
                "E_REMOTE",
                f"the answer of '{name}' is no measurement of {(request.tree or request.base)[:12]}: {error}",
                hint="install the same version of git-planner on the workers as here",
            ) from None
        except WorkerLostError as error:
            self._lost.add(error.worker)
            self._leave()
            raise

    def _call(self, job: EngineJob, seconds: float) -> JobOutcome:
        if self._worker is not None:
            return self._worker.call(FUNCTION, job, seconds=seconds)
        if self._engine is None:
            choice = self.choice
            opened = open_engine(choice.name, workers=1, scheduler=choice.scheduler)
            self._engine = self._stack.enter_context(opened)
        self._worker = self._engine.pin(FUNCTION, job, seconds=seconds, avoid=self._lost)
        self.progress(f"measured on {self._worker.name}")
        return self._worker.first

    def _leave(self) -> None:
        """Forget the worker with all that was measured on it."""
        if self._worker is not None:
            self._worker.close()
        self._worker = None
        self._sites.clear()

    def _payload(self, request: MeasuringRequest, seconds: float) -> dict[str, Any]:
        known = list(self._sites) if self._worker is not None else []
        trees = [request.base, *([request.tree] if request.tree else [])]
        payload: dict[str, Any] = {
            "base": request.base,
            "tree": request.tree,
            "seconds": seconds,
            "metrics": [metric.name for metric in request.policy.metrics],
        }
        if request.rival is not None:
            tree, plan = request.rival
            trees.append(tree)
            begun = [[row.order, list(row.values)] for row in request.begun]
            payload["rival"] = {"tree": tree, "plan": asdict(plan), "begun": begun}
        if request.runs is not None:
            payload["runs"] = request.runs
        if request.before is not None:
            payload["before"] = request.before.document()
        return {**payload, "data": describe_trees(self.repo, self._name, trees, known)}


def _checked(outcome: JobOutcome, request: MeasuringRequest) -> Measurement:
    """Return the measurement of an outcome.

    Raises:
        MeasurementError: it is not one, or not the one that was asked for.
    """
    assert outcome.result is not None
    problems = documents.validate("measurement", outcome.result)
    if problems:
        raise MeasurementError(problems[0][:300])
    return measurement.read_measurement(outcome.result, request)


def _time_limit(policy: Policy, request: MeasuringRequest) -> float:
    """Return the most seconds that a measurement may take by the limits of its policy."""
    seconds = GRACE_SECONDS + (policy.correctness.timeout if policy.correctness else 0.0)
    for place, metric in enumerate(policy.metrics):
        paired = request.rival is not None and place == 0
        runs = request.rival[1].most * _LONGEST_ROUND if paired and request.rival else metric.repeats
        # Reading a value may take as long as its command.
        seconds += 2 * runs * metric.timeout
    return seconds


def _result(measured: Measurement, policy: Policy, rival: Rival | None) -> BenchmarkResult:
    """Return the result as if it had been measured here."""
    comparison: RecordedComparison | None = None
    metrics: list[MeasuredMetric] = []
    for place, metric in enumerate(policy.metrics if measured.refusal is None else ()):
        if place == 0 and rival is not None:
            state = evaluate_rounds(rival.plan, measured.rounds, metric.better)
            comparison = summarize_comparison(metric, rival.record, rival.plan, measured.rounds, state)
            summary = summarise_samples(metric, comparison.candidate)
            assert isinstance(summary, MeasuredMetric)
            metrics.append(summary)
        elif metric.name in measured.metrics:
            metrics.append(measured.metrics[metric.name])
    return BenchmarkResult(
        measured.refusal, tuple(metrics), measured.proof, measured.seconds, measured.notes, comparison
    )


def _write_logs(measured: Measurement, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in measured.logs.items():
        (folder / name).write_text(redact.mask_text(text), encoding="utf-8")
