"""How much a noisy metric varies on one machine with one instrument, when nothing changes. Pure."""

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
    """One metric's samples in the order they were taken, in its unit, and what they tell.

    `deviation` is their standard deviation, `spread` their median absolute deviation, `autocorrelation` that
    of each with the one before, from -1 to 1 (0 when they are all alike).
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
        """The smallest gain that a policy may ask for: twice the deviation."""
        return 2 * self.deviation


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of an instrument in an environment, as it stands in experiments/noise/<name>.json.

    `tree` is the measured tree of the base commit `base`; the rest is as in a record.
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
        """Its file on the plan's branch."""
        return noise_path(self.instrument, self.environment_digest)

    def document(self) -> dict[str, Any]:
        """The noise as a JSON document."""
        return {"schema": SCHEMA, **asdict(self)}


def noise_path(instrument: str, environment: str) -> str:
    """Where the noise of an instrument in an environment stands; both are given by their digests."""
    return f"{NOISE}/{canonical_json.digest({'instrument': instrument, 'environment': environment})}.json"


def summarise_noise(metric: Metric, samples: list[float]) -> MetricNoise:
    """Sum the samples of one metric up; at least two of them."""
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
    """Read noise back from a document that has passed its schema."""
    fields = {key: value for key, value in document.items() if key != "schema"}
    fields["metrics"] = tuple(
        MetricNoise(**{**metric, "samples": tuple(metric["samples"])}) for metric in document["metrics"]
    )
    return Noise(**fields)


def min_gain_problems(noise: Noise, metrics: tuple[Metric, ...]) -> list[str]:
    """What the noise says against the smallest gains of a policy, one sentence a metric."""
    problems = []
    for metric in metrics:
        measured = next((measured for measured in noise.metrics if measured.name == metric.name), None)
        if metric.min_gain is not None and measured is not None and metric.min_gain < measured.smallest_gain:
            problems.append(
                f"'{metric.name}' asks for {number_text(metric.min_gain)}; "
                f"twice its noise is {measured.smallest_gain:.3g}"
            )
    return problems
