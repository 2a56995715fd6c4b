"""The simulation: false keeps, power and cost in runs, under noise of every kind, as shown in the docs.

The page shows 50 campaigns; `make bench` (tests/bench/noise_models.py) compares all of it and simulates more.
"""

from __future__ import annotations

import itertools
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
NOTHING = [case for case in CASES if not case.gain and not case.fading]
BETTER = [case for case in CASES if case.gain == 2]


def label(case: SimulationCase) -> str:
    """Name a test after its case."""
    return case.label


@pytest.fixture(scope="module")
def report() -> SimulationReport:
    """Return a tenth of the report of 'git record simulate', without the costly row."""
    return simulate(Pairs(), 60, 5, 1, [case for case in CASES if not case.fading])


def outcome(report: SimulationReport, case: SimulationCase) -> CaseResult:
    """Return one row of the report."""
    return next(result for result in report.outcomes if result.case == case)


def test_sixty_candidates_that_change_nothing_give_at_most_a_tenth_of_a_keep(
    report: SimulationReport,
) -> None:
    assert report.bound <= 0.1
    kept = [outcome(report, case).kept for case in NOTHING]
    # In five campaigns one is a fifth.
    assert max(kept) <= 0.2
    assert sum(kept) <= 0.1 * len(kept)


@pytest.mark.parametrize("case", BETTER, ids=label)
def test_a_gain_of_two_sigma_is_kept_within_the_stated_runs(
    report: SimulationReport, case: SimulationCase
) -> None:
    row = outcome(report, case)
    assert row.share >= 0.79
    assert row.runs <= 135
    assert row.most <= 7 * Pairs().max / 2


def test_most_of_the_runs_are_spent_on_what_is_worth_them(report: SimulationReport) -> None:
    assert outcome(report, SimulationCase("normal")).runs <= 36
    assert outcome(report, SimulationCase("normal", 2.0)).runs <= 110


def test_more_runs_find_more_small_gains() -> None:
    row = simulate(Pairs(max=96), 60, 3, 1, [SimulationCase("normal", 1.0)]).outcomes[0]
    assert (0.65 <= row.share <= 0.85, row.most <= 7 * 96 / 2) == (True, True)


def test_effects_that_fade_from_run_to_run_give_no_keeps() -> None:
    fading = [case for case in CASES if case.fading]
    assert [result.kept for result in simulate(Pairs(), 60, 2, 1, fading).outcomes] == [0]


def test_effects_that_fade_keep_no_step_with_long_waves() -> None:
    cases = [
        SimulationCase(f"wave of {runs} runs", 0.0, 5.0, fading) for runs in (3, 5) for fading in (0.5, 0.66)
    ]
    assert [result.kept for result in simulate(Pairs(), 60, 2, 1, cases).outcomes] == [0, 0, 0, 0]


def test_after_effects_on_noise_of_every_kind_give_no_keeps() -> None:
    cases = [SimulationCase(noise, 0.0, after) for noise in NOISES for after in (5.0, -5.0)]
    assert sum(result.kept for result in simulate(Pairs(), 60, 2, 3, cases).outcomes) <= 0.1 * len(cases)


def test_the_kinds_of_noise_are_what_they_say() -> None:
    for noise in sorted(set(NOISES) - {"drift", "random walk"}):
        random = Random(3)
        values = [value for _ in range(400) for value in itertools.islice(NOISES[noise](random), 10)]
        middle = sum(values) / len(values)
        deviation = (sum((value - middle) ** 2 for value in values) / len(values)) ** 0.5
        assert deviation == pytest.approx(SIGMA, rel=0.2), noise
    assert {case.noise for case in CASES} == set(NOISES)


def test_a_case_is_simulated_alike_without_the_others() -> None:
    case = SimulationCase("spikes", 2.0)
    alone = simulate(Pairs(), 20, 5, 4, [case]).outcomes
    assert alone == simulate(Pairs(), 20, 5, 4, [SimulationCase("normal"), case]).outcomes[1:]


def test_the_page_shows_what_the_command_prints() -> None:
    lines = [" ".join(line.split()) for line in PAGE.read_text(encoding="utf-8").splitlines()]
    few = simulate(Pairs(), 60, 50, 1, [SimulationCase("normal", 0.0, 5.0), SimulationCase("normal", 2.0)])
    for line in evidence_lines(few):
        assert " ".join(line.split()) in lines
    shown = [line for line in lines if line.startswith(tuple(f"{case.label} " for case in CASES))]
    assert len(shown) == len(CASES)
