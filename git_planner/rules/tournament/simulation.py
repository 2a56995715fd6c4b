"""Simulated tournaments on known noise: how often one without a better variant ships. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from git_planner.rules.stats import paired_design
from git_planner.rules.stats.pairs import Pairs
from git_planner.rules.stats.simulation import LEVEL, NOISES, SIGMA
from git_planner.rules.tournament import judging
from git_planner.rules.tournament.judging import Contender


@dataclass(frozen=True, slots=True)
class TournamentOdds:
    """Result of many simulated tournaments: how many shipped a variant, how many the best one, and the runs
    of the benchmark per tournament.
    """

    tournaments: int
    shipped: int
    shipped_best: int
    runs: float


def simulate_tournaments(
    gains: Sequence[float], tournaments: int, seed: int, *, pairs: Pairs | None = None, noise: str = "normal"
) -> TournamentOdds:
    """Simulate tournaments of variants with known gains.

    Args:
        gains: the gain of each variant, in standard deviations of a single run; a deviation is 5 %.
        tournaments: how many are simulated.
        seed: the seed of the random numbers.
        pairs: the policy's numbers (default: those of a policy without any).
        noise: the kind of noise, one of `rules.stats.simulation.NOISES`.
    """
    pairs = pairs or Pairs()
    best = max(range(len(gains)), key=lambda place: gains[place]) + 1
    shipped = shipped_best = runs = 0
    random = Random(f"{seed} {noise} {gains}")
    for _ in range(tournaments):
        benchmark = _Benchmark(gains, NOISES[noise](random))
        winner = _play(benchmark, pairs, random)
        shipped += winner is not None
        shipped_best += winner == best
        runs += benchmark.runs
    return TournamentOdds(tournaments, shipped, shipped_best, runs / tournaments)


class _Benchmark:
    """A noisy benchmark of a base, which is number 0, and of variants; `runs` counts its runs."""

    def __init__(self, gains: Sequence[float], noise: Iterator[float]) -> None:
        self._gains, self._noise, self.runs = (0.0, *gains), noise, 0

    def measure(self, number: int) -> float:
        self.runs += 1
        return LEVEL * (1 + next(self._noise)) * (1 - self._gains[number] * SIGMA)

    def is_better(self, number: int, than: int, plan: paired_design.Schedule, random: Random) -> bool:
        rounds: list[paired_design.Round] = []
        while True:
            extra = random.randrange(paired_design.MOST_EXTRA + 1)
            order = paired_design.round_order(coin=random.random() < 0.5, extra=extra)
            values = tuple(self.measure(than if letter == "A" else number) for letter in order)
            rounds.append(paired_design.Round(order, values))
            ending = paired_design.evaluate_rounds(plan, rounds, "lower").ending
            if ending is not None:
                return ending == "improved"


def _play(benchmark: _Benchmark, pairs: Pairs, random: Random) -> int | None:
    numbers = list(range(1, len(benchmark._gains)))
    values: dict[int, list[float]] = {number: [] for number in (0, *numbers)}
    for _ in range(pairs.screen):
        block = random.sample(list(values), len(values))
        for number in block:
            values[number].append(benchmark.measure(number))
    contenders = [
        Contender(number, judging.screening_gain(values[0], values[number], "lower"), lines=number)
        for number in numbers
    ]
    ranked, plan = judging.rank(contenders), judging.tournament_schedule(pairs)
    if not ranked:
        return None
    finalist = ranked[0]
    won = benchmark.is_better(finalist.number, 0, plan, random)
    over_next = next_won = None
    if judging.needs_runner_up(won, ranked):
        runner_up = ranked[1]
        over_next = benchmark.is_better(finalist.number, runner_up.number, plan, random)
        if not over_next and runner_up.lines < finalist.lines:
            next_won = benchmark.is_better(runner_up.number, 0, plan, random)
    return judging.choose_confirmed(
        ranked, better_than_base=won, better_than_next=over_next, next_better_than_base=next_won
    ).winner
