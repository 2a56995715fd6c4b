"""After-effects estimated from the runs of a comparison, against scipy and numpy."""

from __future__ import annotations

import itertools
import math
from functools import partial
from random import Random

import numpy
import pytest
from scipy import stats

from git_planner.rules.stats import after_effects, paired_design
from git_planner.rules.stats.summary import median


def comparison(
    count: int, seed: int, gain: float = 0.0, lasting: tuple[float, ...] = ()
) -> list[tuple[str, list[float]]]:
    """Return simulated rounds; `lasting` is what a run of the candidate adds to the next runs."""
    random, letters, rounds = Random(seed), "", []
    for _ in range(count):
        order = paired_design.round_order(coin=random.random() < 0.5)
        values = []
        for letter in order:
            slower = sum(
                effect for effect, before in zip(lasting, reversed(letters), strict=False) if before == "B"
            )
            values.append(100 + random.gauss(0, 1) - gain * (letter == "B") + slower)
            letters += letter
        rounds.append((order, values))
    return rounds


def by_numpy(rounds: list[tuple[str, list[float]]]) -> float:
    """Return the p-value of ordinary least squares with a level for each round."""
    letters = "".join(order for order, _ in rounds)
    candidate = [float(letter == "B") for letter in letters]
    before = [0.0, *candidate[:-1]]
    earlier = list(itertools.accumulate(before, lambda old, new: after_effects.FADING * old + new))
    levels = numpy.repeat(numpy.eye(len(rounds)), 5, axis=0)
    matrix = numpy.column_stack([candidate, before, earlier, levels])
    values = numpy.array([value for _, row in rounds for value in row])
    fit = numpy.linalg.lstsq(matrix, values, rcond=None)
    freedom = len(values) - matrix.shape[1]
    variance = fit[1][0] / freedom * numpy.linalg.inv(matrix.T @ matrix)[0, 0]
    return float(stats.t.sf(-fit[0][0] / variance**0.5, freedom))


def test_student_s_tail_is_scipys() -> None:
    for freedom, t in itertools.product((1, 2, 3, 4, 33, 92), (-3.0, 0.0, 0.5, 2.5, 8.0)):
        expected = stats.t.sf(t, freedom)
        assert after_effects.student_tail(t, freedom) == pytest.approx(expected, abs=1e-13)
    assert after_effects.student_tail(1e300, 30) == 0


def test_p_is_that_of_least_squares() -> None:
    unlimited = partial(after_effects.gain_tests, limit=1e9)
    for seed in range(5):
        rounds = comparison(9, seed, 0.5, (2.0, 1.0))
        assert unlimited(rounds).by_deviation == pytest.approx(by_numpy(rounds), rel=1e-6)
        opposite = [(order, [-value for value in values]) for order, values in rounds]
        assert unlimited(opposite, "higher") == pytest.approx(unlimited(rounds))


def in_waves(seed: int, length: int) -> list[tuple[str, list[float]]]:
    """Return rounds in a wave, whose candidate changes nothing and slows down the runs after it."""
    random, rounds, slower, run = Random(seed), [], 0.0, seed
    for _ in range(13):
        order = paired_design.round_order(coin=random.random() < 0.5, extra=random.randrange(3))
        values = []
        for letter in order:
            height = 1.4 * math.sin(2 * math.pi * run / length)
            values.append(100 + height + random.gauss(0, 0.2) + slower)
            slower, run = 0.66 * slower + 5 * (letter == "B"), run + 1
        rounds.append((order, values))
    return rounds


def test_waves_in_step_with_some_rounds_are_no_gain() -> None:
    """Take one of 2,500 candidates for which the deviation of the runs says little about that of the gain."""
    tests = after_effects.gain_tests(in_waves(6, 5))
    assert tests.by_deviation < 0.001
    assert tests.by_signs > 0.01
    assert after_effects.p_value(in_waves(6, 5)) == tests.by_signs


@pytest.mark.parametrize("lasting", [(5.0,), (-5.0,), (5.0, 2.5, 1.25, 0.6), (3.0, 2.1, 1.5, 1.0, 0.7)])
def test_lasting_effects_are_no_gain_and_hide_none(lasting: tuple[float, ...]) -> None:
    luck = [after_effects.p_value(comparison(13, seed, 0.0, lasting)) for seed in range(100)]
    assert sum(p <= 0.05 for p in luck) <= 12
    tests = [after_effects.gain_tests(comparison(13, seed, 2.0, lasting)) for seed in range(20)]
    assert max(test.by_deviation for test in tests) < 0.05
    assert median([test.by_signs for test in tests]) < 0.05


def test_one_disturbed_run_hides_no_gain() -> None:
    rounds = comparison(9, 3, 3.0)
    undisturbed = after_effects.gain_tests(rounds)
    rounds[4][1][2] += 1000
    disturbed = after_effects.gain_tests(rounds)
    assert undisturbed.by_deviation < disturbed.by_deviation < 0.0001
    assert undisturbed.by_signs < disturbed.by_signs < 0.01


def test_a_gain_can_be_estimated_however_the_coins_fell() -> None:
    for coins in itertools.product((True, False), repeat=4):
        orders = [paired_design.round_order(coin=coin) for coin in coins]
        rounds = [(order, [100.0 - 9 * (letter == "B") for letter in order]) for order in orders]
        assert after_effects.gain_tests(rounds).by_deviation < 1e-6
        assert after_effects.p_value(rounds, "higher") > 0.9


def test_nothing_is_concluded_from_too_little_or_from_equal_values() -> None:
    assert after_effects.p_value([]) == 1.0
    assert after_effects.p_value([("AABBA", [1.0, 2, 3, 4, 5])]) > 0
    assert after_effects.p_value([("AABBA", [7.0] * 5), ("BBAAB", [7.0] * 5)]) == 1.0


def test_huge_and_tiny_values_are_compared_too() -> None:
    rounds = comparison(9, 1, 2.0)
    expected = after_effects.p_value(rounds)
    for scale in (1e-300, 1e305):
        scaled = [(order, [value * scale for value in values]) for order, values in rounds]
        assert after_effects.p_value(scaled) == pytest.approx(expected, rel=1e-6)
