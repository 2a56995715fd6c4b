"""Noise of metrics: their variation on one machine with one instrument if nothing changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from git_planner.rules.documents import canonical_json
from git_planner.rules.policy.policy import Metric
from git_planner.rules.refnames import NOISE, number_text
from git_planner.rules.stats.summary import autocorrelation, deviation, median, spread

SCHEMA = "git-planner/noise@1"


@dataclass(frozen=True, slots=True)
class MetricNoise:
    """The samples of one metric in order, in its unit, and their statistics.

    `deviation` is their standard deviation, `spread` their median absolute deviation, `autocorrelation` that
    of lag 1, from -1 to 1 (0 if they are all equal).
    """

    name: str
    unit: str
    samples: tuple[float, ...]
    median: float
    spread: float
    deviation: float
    autocorrelation: float

    @property
    def smallest_gain(self) -> float:
        """The smallest 'min_gain' that a policy may have: twice the deviation."""
        return 2 * self.deviation


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of an instrument in an environment, stored in experiments/noise/<name>.json.

    `tree` is the measured tree of the base commit `base`; the other fields are as in a record.
    """

    instrument: str
    environment_digest: str
    environment: Mapping[str, Any]
    base: str
    tree: str
    metrics: tuple[MetricNoise, ...]
    created_at: str

    @property
    def path(self) -> str:
        """The path of the noise on the plan's branch."""
        return noise_path(self.instrument, self.environment_digest)

    def document(self) -> dict[str, Any]:
        """Return the noise as a JSON document."""
        return {"schema": SCHEMA, **asdict(self)}


def noise_path(instrument: str, environment: str) -> str:
    """Return the path of the noise of an instrument in an environment, given by their digests."""
    return f"{NOISE}/{canonical_json.digest({'instrument': instrument, 'environment': environment})}.json"


def summarise_noise(metric: Metric, samples: list[float]) -> MetricNoise:
    """Summarise at least two samples of one metric."""
    return MetricNoise(
        metric.name,
        metric.unit,
        tuple(samples),
        median(samples),
        spread(samples),
        deviation(samples),
        autocorrelation(samples),
    )


def noise_from(document: Mapping[str, Any]) -> Noise:
    """Build noise from its validated document."""
    fields = {key: value for key, value in document.items() if key != "schema"}
    fields["metrics"] = tuple(
        MetricNoise(**{**metric, "samples": tuple(metric["samples"])}) for metric in document["metrics"]
    )
    return Noise(**fields)


def min_gain_problems(noise: Noise, metrics: tuple[Metric, ...]) -> list[str]:
    """List the metrics of a policy whose 'min_gain' is below twice the noise, one sentence each."""
    problems = []
    for metric in metrics:
        measured = next((measured for measured in noise.metrics if measured.name == metric.name), None)
        if metric.min_gain is not None and measured is not None and metric.min_gain < measured.smallest_gain:
            problems.append(
                f"'{metric.name}' asks for {number_text(metric.min_gain)}; "
                f"twice its noise is {measured.smallest_gain:.3g}"
            )
    return problems
