"""The schedule of a noisy comparison and its error budget."""

from __future__ import annotations

import itertools
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.rules.stats import alpha_spending, paired_design, signed_rank
from git_planner.rules.stats.paired_design import ComparisonState, Look, Round, Schedule
from git_planner.rules.stats.pairs import Pairs

NUMBERS = st.builds(
    Pairs,
    screen=st.integers(2, 12),
    min=st.integers(2, 40),
    max=st.integers(4, 120),
    alpha=st.floats(0.001, 0.5),
    horizon=st.integers(1, 500),
)


def rounds(*gains: float, base: float = 100.0) -> list[Round]:
    """Return rounds with these gains, alternately AABBA and BBAAB, with a noisy base and wild lead-ins."""
    result = []
    for place, gain in enumerate(gains):
        low, high = base - 3, base + 3
        values = (
            (base * 7, low, low - gain, high - gain, high)
            if place % 2 == 0
            else (base / 7, low - gain, low, high, high - gain)
        )
        result.append(Round(paired_design.round_order(coin=place % 2 == 0), values))
    return result


def ends(plan: Schedule, *gains: float) -> tuple[int, ComparisonState]:
    """Return the number of rounds after which a comparison ends, and its state."""
    for count in range(1, len(gains) + 1):
        state = paired_design.evaluate_rounds(plan, rounds(*gains[:count]), "lower")
        if state.ending:
            return count, state
    raise AssertionError("it never ends")


def test_shares_sum_up_to_the_budget() -> None:
    for horizon in (1, 20, 60):
        shares = [alpha_spending.alpha_share(number, 0.1, horizon) for number in range(1, 1001)]
        assert math.fsum(shares) == pytest.approx(alpha_spending.alpha_spent(1000, 0.1, horizon))
        assert math.fsum(shares) < 0.1
        assert math.fsum(shares[:horizon]) == pytest.approx(0.05)
        assert shares == sorted(shares, reverse=True)
    assert sum(alpha_spending.LOOKS) == 1
    with pytest.raises(ValueError, match="counted from 1"):
        alpha_spending.alpha_share(0, 0.1, 20)


def test_a_schedule_with_the_usual_numbers() -> None:
    alpha = 0.05 / 21
    looks = (Look(10, alpha / 2), Look(17, alpha / 4), Look(24, alpha / 4))
    assert paired_design.plan_comparison(Pairs(), 1) == Schedule(1, alpha, 2, looks, 24, 0.25)
    assert [look.rounds for look in paired_design.plan_comparison(Pairs(), 60).looks] == [14, 19, 24]


@given(NUMBERS, st.integers(1, 10_000))
def test_looks_never_spend_more_than_the_share_and_can_succeed(numbers: Pairs, number: int) -> None:
    plan = paired_design.plan_comparison(numbers, number)
    assert math.fsum(look.alpha for look in plan.looks) <= plan.alpha * (1 + 1e-9)
    assert [look.rounds for look in plan.looks] == sorted({look.rounds for look in plan.looks})
    for look in plan.looks:
        assert look.rounds <= plan.most
        assert signed_rank.p_value([1.0] * look.rounds) <= look.alpha


def test_too_few_pairs_can_decide_nothing() -> None:
    assert not paired_design.plan_comparison(Pairs(min=4, max=8), 1).decidable
    assert paired_design.plan_comparison(Pairs(), 500).decidable


def test_a_round_in_both_orders() -> None:
    first, second = Round("AABBA", (99, 10, 7, 8, 11)), Round("BBAAB", (99, 10, 7, 8, 11))
    assert (first.lead_ins, first.of("A"), first.of("B")) == ((99,), (10, 11), (7, 8))
    assert (first.gain("lower"), second.gain("lower"), second.gain("higher")) == (3, -3, 3)


@pytest.mark.parametrize("coin", [True, False])
def test_a_steady_drift_cancels_out(coin: bool) -> None:
    assert Round(paired_design.round_order(coin=coin), (100, 101, 102, 103, 104)).gain("lower") == 0


@pytest.mark.parametrize("coin", [True, False])
def test_each_tree_counts_once_after_each_tree(coin: bool) -> None:
    order = paired_design.round_order(coin=coin)
    assert sorted(itertools.pairwise(order)) == [("A", "A"), ("A", "B"), ("B", "A"), ("B", "B")]


@given(
    st.booleans(),
    st.lists(st.integers(-99, 99), min_size=5, max_size=5),
    st.integers(-999, 999),
    st.integers(-9, 9),
)
def test_what_a_run_adds_to_the_next_one_cancels_out(
    coin: bool, noise: list[int], base: int, candidate: int
) -> None:
    order = paired_design.round_order(coin=coin)
    effect = {"A": base, "B": candidate}
    disturbed = [noise[0], *(own + effect[before] for own, before in zip(noise[1:], order, strict=False))]
    assert Round(order, tuple(disturbed)).gain("lower") == Round(order, tuple(noise)).gain("lower")


def test_a_real_gain_is_found_at_the_first_look() -> None:
    plan = paired_design.plan_comparison(Pairs(), 1)
    count, state = ends(plan, *[5.0 + place for place in range(24)])
    assert (count, state.ending, state.p, state.look) == (10, "improved", 2.0**-10, plan.looks[0])
    assert state.adjusted_p is not None
    assert state.adjusted_p <= plan.looks[0].alpha


def test_a_doubtful_gain_waits_for_a_later_look() -> None:
    plan = paired_design.plan_comparison(Pairs(), 1)
    count, state = ends(plan, -1.0, *[5.0 + place for place in range(23)])
    assert (count, state.ending) == (17, "improved")


def test_a_gain_that_after_effects_explain_is_not_kept() -> None:
    """The candidate changes nothing, but the two runs after each of its runs are slower by ten."""
    plan, random, letters, all_ = paired_design.plan_comparison(Pairs(), 1), Random(5), "", list[Round]()
    for _ in range(plan.most):
        order = paired_design.round_order(coin=random.random() < 0.5)
        values = []
        for letter in order:
            values.append(100 + random.gauss(0, 1) + 10 * letters[-2:].count("B"))
            letters += letter
        all_.append(Round(order, tuple(values)))
    state = paired_design.evaluate_rounds(plan, all_, "lower")
    assert (state.ending, state.look) == ("budget", None)
    assert state.p < plan.looks[-1].alpha
    assert state.adjusted_p is not None
    assert state.adjusted_p > 0.05


def test_what_is_clearly_worse_is_dropped_after_the_screening() -> None:
    count, state = ends(paired_design.plan_comparison(Pairs(), 1), *[-100.0] * 24)
    assert (count, state.ending) == (3, "worse")


def test_what_does_not_look_like_a_gain_is_dropped_soon() -> None:
    count, state = ends(paired_design.plan_comparison(Pairs(), 1), *[1.0, -1.5] * 12)
    assert (count, state.ending) == (4, "futile")


def test_the_budget_of_pairs_is_kept() -> None:
    plan = paired_design.plan_comparison(Pairs(), 1)
    gains = [9.0 + place for place in range(24)]
    for lost in (5, 8, 11, 14, 17, 20, 23):
        gains[lost] *= -1
    count, state = ends(plan, *gains)
    assert (count, state.ending) == (24, "budget")


def test_no_order_of_signs_keeps_more_often_than_its_share() -> None:
    """The complete procedure with its looks, for every pattern of coin tosses."""
    plan = paired_design.plan_comparison(Pairs(min=10, max=24, alpha=0.5, horizon=20, futility=1.0), 1)
    kept = 0
    for signs in itertools.product((1, -1), repeat=plan.most):
        gains = [sign * (3.0 + 2 * place) for place, sign in enumerate(signs)]
        ps = {look.rounds: signed_rank.p_value(gains[: look.rounds]) for look in plan.looks}
        kept += any(ps[look.rounds] <= look.alpha for look in plan.looks)
    assert 0 < kept / 2**plan.most <= plan.alpha
