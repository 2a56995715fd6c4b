"""A measurement that a worker returns: what it measured, checked against what it was asked. Pure.

It is outside input. It holds samples and outcomes only; all that is concluded from them is concluded here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from git_planner.rules.measuring import correctness_report, verdict
from git_planner.rules.measuring.constraints import implausible
from git_planner.rules.measuring.proofs import registry
from git_planner.rules.measuring.proofs.proof import Proof, TestOutcome
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Metric, Policy
from git_planner.rules.records.record import MeasuredMetric
from git_planner.rules.stats import paired_design
from git_planner.rules.stats.paired_design import Round, Schedule

SCHEMA = "git-planner/measurement@1"
OUTCOMES: tuple[TestOutcome, ...] = ("passed", "skipped", "failed")
# The output of commands that is sent: files, and bytes at the end of each.
MOST_LOGS, MOST_LOG_BYTES = 200, 64 * 1024
_ORDERS = frozenset(get_args(paired_design.Order))


@dataclass(frozen=True, slots=True)
class MeasuringRequest:
    """The request that a worker was given.

    `tree` None: its environment only. `rival` is the tree and the schedule of a comparison by pairs, and
    `begun` are its rounds so far, of which the last may be incomplete; `runs` is the number of runs if one
    metric was to be sampled, without tests. `environment` is the digest that it had before, None at first.
    `policy` has the metrics that were to be measured.
    """

    base: str
    instrument: str
    policy: Policy
    tree: str | None = None
    rival: tuple[str, Schedule] | None = None
    begun: tuple[Round, ...] = ()
    runs: int | None = None
    before: Proof | None = None
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement that fits its request. `metrics` are those with samples of their own, by name."""

    environment: Mapping[str, Any]
    environment_digest: str
    refusal: Refusal | None
    proof: Proof | None
    metrics: Mapping[str, MeasuredMetric]
    samples: Mapping[str, tuple[float, ...]]
    rounds: tuple[Round, ...]
    seconds: Mapping[str, float]
    notes: tuple[str, ...]
    logs: Mapping[str, str]


class MeasurementError(ValueError):
    """A document that is no measurement of what was asked."""


def read_measurement(document: Mapping[str, Any], request: MeasuringRequest) -> Measurement:
    """Read a measurement.

    Args:
        document: a document that is valid by its schema.
        request: what was asked.

    Raises:
        MeasurementError: it does not prove that this was measured.
    """
    _check_identity(document, request)
    refusal = document["refusal"]
    proof = document["proof"]
    measured = Measurement(
        environment=document["environment"],
        environment_digest=document["environment_digest"],
        refusal=None if refusal is None else Refusal(refusal["reason"], refusal["sentence"]),
        proof=None if proof is None else Proof({test: word for word in OUTCOMES for test in proof[word]}),
        metrics={},
        samples={row["name"]: tuple(map(float, row["values"])) for row in document["samples"]},
        rounds=tuple(Round(row["order"], tuple(map(float, row["values"]))) for row in document["rounds"]),
        seconds=document["seconds"],
        notes=tuple(document["notes"]),
        logs={row["name"]: row["text"] for row in document["logs"]},
    )
    if measured.proof is not None and len(measured.proof.outcomes) != sum(map(len, proof.values())):
        raise MeasurementError("a test has two outcomes")
    if measured.refusal is not None or request.tree is None:
        return measured
    _check_tests(measured, request)
    return _with_metrics(measured, request)


def _check_identity(document: Mapping[str, Any], request: MeasuringRequest) -> None:
    """Check that the worker measured the trees with the instrument, where it was."""
    asked = {
        "base": request.base,
        "tree": request.tree,
        "rival": request.rival[0] if request.rival else None,
        "instrument": request.instrument,
    }
    if request.environment is not None:
        asked["environment_digest"] = request.environment
    for name, value in asked.items():
        if document[name] != value:
            raise MeasurementError(f"its '{name}' is {document[name]}, not {value}")


def _check_tests(measured: Measurement, request: MeasuringRequest) -> None:
    """Check that a measurement without a refusal has the tests that the policy asks for."""
    correctness = request.policy.correctness
    if correctness is None or request.runs is not None or correctness.proof == registry.EXIT_STATUS:
        return
    if measured.proof is None:
        raise MeasurementError("it has no tests, although the policy asks for them")
    refusal = correctness_report.check_proof(
        measured.proof,
        status=correctness.exit_statuses[0],
        require=correctness.require,
        before=request.before,
        may_fail=correctness.may_fail,
        accepted=correctness.exit_statuses,
    )
    if refusal is not None:
        raise MeasurementError(f"it passes a tree whose tests say: {refusal.sentence}")


def _with_metrics(measured: Measurement, request: MeasuringRequest) -> Measurement:
    """Return a measurement with its metrics, as the samples give them."""
    metrics: dict[str, MeasuredMetric] = {}
    names = {metric.name for metric in request.policy.metrics}
    if unknown := sorted(set(measured.samples) - names):
        raise MeasurementError(f"it has samples of '{unknown[0]}', which was not asked for")
    for place, metric in enumerate(request.policy.metrics):
        if place == 0 and request.rival is not None:
            _check_rounds(metric, request.rival[1], measured.rounds)
            _check_possible(metric, [value for row in measured.rounds for value in row.values])
            whole = tuple(row for row in request.begun if len(row.values) == len(row.order))
            if measured.rounds[: len(whole)] != whole:
                raise MeasurementError("it does not go on with the rounds that were measured before")
            continue
        values = measured.samples.get(metric.name)
        if values is None and place > 0 and not metric.is_bounded:
            continue
        runs = metric.repeats if request.runs is None else request.runs
        if values is None or len(values) != runs:
            raise MeasurementError(f"it has {len(values or ())} samples of '{metric.name}', not {runs}")
        _check_possible(metric, values)
        if request.runs is not None:
            continue
        summary = verdict.summarise_samples(metric, values)
        if isinstance(summary, Refusal):
            raise MeasurementError(summary.sentence)
        metrics[metric.name] = summary
    return replace(measured, metrics=metrics)


def _check_possible(metric: Metric, values: Sequence[float]) -> None:
    """Check that values are possible, by the policy's bounds."""
    for value in values:
        refusal = implausible(metric, value)
        if refusal is not None:
            raise MeasurementError(refusal.sentence)


def _check_rounds(metric: Metric, plan: Schedule, rounds: Sequence[Round]) -> None:
    """Check that the rounds of a comparison end it, and the last one only."""
    if any(row.order not in _ORDERS or len(row.values) != len(row.order) for row in rounds):
        raise MeasurementError("a round of the comparison is not complete")
    endings = [
        paired_design.evaluate_rounds(plan, rounds[:count], metric.better).ending
        for count in range(len(rounds) + 1)
    ]
    if any(endings[:-1]):
        raise MeasurementError("the comparison went on after its end")
    if endings[-1] is None:
        raise MeasurementError("the comparison has not ended")
