"""Simulate comparisons by pairs on known noise. Pure: the random numbers come from a seed.

A campaign is a series of comparisons, each with its own share of the error budget; it is simulated many times
with candidates that change nothing, and with better candidates. The noise is relative, with a standard
deviation of 5 % for a single run, in several shapes. A candidate may also have an after-effect: it makes the
runs that follow its own slower or faster, whichever tree they are of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from git_planner.rules.stats import paired_design
from git_planner.rules.stats.alpha_spending import alpha_spent
from git_planner.rules.stats.pairs import Pairs

SIGMA = 0.05
LEVEL = 100.0
SCHEMA = "git-planner/simulation@1"
Noise = Callable[[Random], Iterator[float]]


@dataclass(frozen=True, slots=True)
class SimulationCase:
    """One kind of noise, one gain and one after-effect, both in standard deviations of a single run.

    A candidate's run makes the next run slower by `after`; the share `fading` of it remains from run to run.
    """

    noise: str
    gain: float = 0.0
    after: float = 0.0
    fading: float = 0.0

    @property
    def label(self) -> str:
        """The noise, and the after-effect if there is one."""
        if not self.after:
            return self.noise
        effect = f"{abs(self.after):g} sigma {'slower' if self.after > 0 else 'faster'}"
        effect = f"next runs {effect}, fading" if self.fading else f"next run {effect}"
        return effect if self.noise == "normal" else f"{self.noise}, {effect}"


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The result of one case.

    `kept` is the mean number of keeps in a campaign, `share` the kept part of all candidates, `runs` the mean
    number of runs (of base and candidate together) per candidate, `most` the largest number.
    """

    case: SimulationCase
    kept: float
    share: float
    runs: float
    most: int


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """All outcomes.

    `trials` is the length of a campaign, `bound` its largest expected number of false keeps, `campaigns` the
    number of campaigns with candidates that change nothing, `better` the number with better candidates.
    """

    pairs: Pairs
    trials: int
    campaigns: int
    better: int
    bound: float
    outcomes: tuple[CaseResult, ...]

    def document(self) -> dict[str, Any]:
        """Return the report as a JSON document."""
        outcomes = [{**outcome.pop("case"), **outcome} for outcome in asdict(self)["outcomes"]]
        return {"schema": SCHEMA, **asdict(self), "pairs": self.pairs._asdict(), "outcomes": outcomes}


def simulate(
    numbers: Pairs, trials: int, campaigns: int, seed: int, cases: Sequence[SimulationCase] | None = None
) -> SimulationReport:
    """Simulate many campaigns.

    Args:
        numbers: the parameters of the comparisons.
        trials: the number of candidates in a campaign.
        campaigns: the number of campaigns without real gains; a fifth as many are simulated with gains.
        seed: the seed of the random numbers. A case's result does not depend on the other cases.
        cases: the simulated cases (default: CASES).
    """
    better = max(1, campaigns // 5)
    outcomes = tuple(
        _simulate_case(
            case,
            numbers,
            trials,
            better if case.gain else campaigns,
            Random(f"{seed} {case.label} {case.gain:g}"),
        )
        for case in (CASES if cases is None else cases)
    )
    bound = alpha_spent(trials, numbers.alpha, numbers.horizon)
    return SimulationReport(numbers, trials, campaigns, better, bound, outcomes)


def _simulate_case(
    case: SimulationCase, numbers: Pairs, trials: int, campaigns: int, random: Random
) -> CaseResult:
    plans = [paired_design.plan_comparison(numbers, number) for number in range(1, trials + 1)]
    kept = runs = most = 0
    for _ in range(campaigns):
        for plan in plans:
            won, took = _simulate_comparison(plan, case, random)
            kept, runs, most = kept + won, runs + took, max(most, took)
    total = campaigns * trials
    return CaseResult(case, kept / campaigns, kept / total, runs / total, most)


def _simulate_comparison(
    plan: paired_design.Schedule, case: SimulationCase, random: Random
) -> tuple[bool, int]:
    rounds: list[paired_design.Round] = []
    took = 0
    noise, slower = NOISES[case.noise](random), 0.0
    while True:
        extra = random.randrange(paired_design.MOST_EXTRA + 1)
        order = paired_design.round_order(coin=random.random() < 0.5, extra=extra)
        values = []
        for letter in order:
            value = LEVEL * (1 + next(noise) + SIGMA * slower)
            slower *= case.fading
            if letter == "B":
                value *= 1 - case.gain * SIGMA
                slower += case.after
            values.append(value)
        rounds.append(paired_design.Round(order, tuple(values)))
        took += len(order)
        ending = paired_design.evaluate_rounds(plan, rounds, "lower").ending
        if ending is not None:
            return ending == "improved", took


def _normal(random: Random) -> Iterator[float]:
    while True:
        yield random.gauss(0, SIGMA)


def _heavy(random: Random) -> Iterator[float]:
    """Student's t with 3 degrees of freedom: one run in a hundred is off by more than three deviations."""
    while True:
        squares = sum(random.gauss(0, 1) ** 2 for _ in range(3))
        yield SIGMA / math.sqrt(3) * random.gauss(0, 1) / math.sqrt(squares / 3)


def _spikes(random: Random) -> Iterator[float]:
    """Quiet, but one run in ten is disturbed, and always slower."""
    while True:
        yield random.gauss(0, SIGMA / 5) + (
            random.expovariate(1 / (2 * SIGMA)) if random.random() < 0.1 else 0
        )


def _correlated(random: Random) -> Iterator[float]:
    """Successive runs are correlated (autocorrelation 0.9)."""
    now = random.gauss(0, SIGMA)
    while True:
        yield now
        now = 0.9 * now + random.gauss(0, SIGMA * math.sqrt(1 - 0.9**2))


def _drift(random: Random) -> Iterator[float]:
    """The machine gets slower by half a percent with every run."""
    slower = 0.0
    while True:
        yield slower + random.gauss(0, SIGMA)
        slower += 0.005


def _random_walk(random: Random) -> Iterator[float]:
    """The speed of the machine wanders: by a third of a deviation from run to run."""
    level = 0.0
    while True:
        yield level + random.gauss(0, SIGMA)
        level += random.gauss(0, 0.3 * SIGMA)


def _wave(length: int) -> Noise:
    """Return a disturbance that comes back after so many runs; it begins anywhere."""

    def noise(random: Random) -> Iterator[float]:
        place = length * random.random()
        heights = [
            SIGMA * math.sqrt(2) * math.sin(2 * math.pi * (place + run) / length) for run in range(length)
        ]
        while True:
            for height in heights:
                yield height + random.gauss(0, SIGMA / 5)

    return noise


NOISES: dict[str, Noise] = {
    "normal": _normal,
    "heavy tails": _heavy,
    "spikes": _spikes,
    "correlated": _correlated,
    "drift": _drift,
    "random walk": _random_walk,
    **{f"wave of {length} runs": _wave(length) for length in (2, 3, 4, 5, 10)},
}
_AFTER = (
    *((effect, 0.0) for effect in (2.0, 3.0, 5.0, -5.0)),
    (5.0, 0.5),
)
CASES = (
    *(SimulationCase(noise) for noise in NOISES),
    *(SimulationCase("normal", 0.0, *effect) for effect in _AFTER),
    SimulationCase("normal", 1.0),
    *(SimulationCase(noise, 2.0) for noise in NOISES),
    SimulationCase("normal", 2.0, 5.0),
)
