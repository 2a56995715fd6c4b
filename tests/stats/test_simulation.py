"""The simulation: false keeps, power and cost in runs, under noise of every kind, as shown in the docs."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from git_planner.cli.git_record.noise import evidence_lines
from git_planner.rules.stats.pairs import Pairs
from git_planner.rules.stats.simulation import (
    CASES,
    NOISES,
    SIGMA,
    CaseResult,
    SimulationCase,
    SimulationReport,
    simulate,
)

PAGE = Path(__file__).parents[2] / "docs" / "noisy-metrics.md"


@pytest.fixture(scope="module")
def report() -> SimulationReport:
    """Return the report of 'git record simulate'."""
    return simulate(Pairs(), 60, 50, Random(1))


def outcome(report: SimulationReport, noise: str, gain: float) -> CaseResult:
    """Return one row of the report."""
    return next(result for result in report.outcomes if (result.noise, result.gain) == (noise, gain))


@pytest.mark.parametrize("noise", NOISES)
def test_sixty_candidates_that_change_nothing_give_at_most_a_tenth_of_a_keep(
    report: SimulationReport, noise: str
) -> None:
    assert report.bound <= 0.1
    assert outcome(report, noise, 0).kept <= 0.1


@pytest.mark.parametrize("noise", NOISES)
def test_a_gain_of_two_sigma_is_kept_within_the_stated_runs(report: SimulationReport, noise: str) -> None:
    row = outcome(report, noise, 2)
    assert row.share >= 0.79
    assert row.runs <= 60
    assert row.most <= 2 * Pairs().max


def test_most_of_the_runs_are_spent_on_what_is_worth_them(report: SimulationReport) -> None:
    assert outcome(report, "normal", 0).runs <= 24
    assert outcome(report, "normal", 1).share >= 0.5


def test_more_campaigns_stay_within_the_bound() -> None:
    few = simulate(Pairs(), 60, 100, Random(7), [SimulationCase("normal", 0)])
    assert few.outcomes[0].kept <= few.bound


def test_the_kinds_of_noise_are_what_they_say() -> None:
    for noise in ("normal", "heavy tails", "spikes", "correlated", "periodic"):
        source = NOISES[noise](Random(3))
        values = [next(source) for _ in range(40_000)]
        middle = sum(values) / len(values)
        deviation = (sum((value - middle) ** 2 for value in values) / len(values)) ** 0.5
        assert deviation == pytest.approx(SIGMA, rel=0.2), noise
    assert {case.noise for case in CASES} == set(NOISES)


def test_the_page_shows_what_the_command_prints(report: SimulationReport) -> None:
    block = "\n".join(f"    {line}".rstrip() for line in evidence_lines(report))
    assert block in PAGE.read_text(encoding="utf-8")
