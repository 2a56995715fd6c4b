"""A campaign of noisy comparisons with noise from a fixed seed: luck is never kept, and a gain of a tenth is.

The runs are simulated: each candidate takes its own numbers of the noise. With coins from a seed, too, the
test always ends alike. tests/bench/noise_campaign.py is the same with real runs by the real clock.
"""

from __future__ import annotations

from random import Random

from git_planner.flows.measuring.paired_runs import Rival, compare_in_pairs
from git_planner.rules.policy.policy import Metric
from git_planner.rules.records.recorded_comparison import RecordedComparison
from git_planner.rules.stats import paired_design
from git_planner.rules.stats.pairs import Pairs

TRIES = 3
# The noise of one run as a share of the value.
SHARE = 0.03
METRIC = Metric(
    "wall", ("true",), "(a)", None, "ms", "lower", "noisy", 1, 20, pin=True, pairs=Pairs(alpha=0.4)
)


class Campaign:
    """Candidates that are compared with a base of 10,000 ms one after the other."""

    def __init__(self) -> None:
        self.coins, self.comparisons = Random("coins of a campaign"), 0

    def toss(self) -> bool:
        """Toss the next coin."""
        return self.coins.getrandbits(1) == 1

    def compare(self, value: int) -> RecordedComparison:
        """Compare the next candidate, which takes so many milliseconds."""
        self.comparisons += 1
        noise = {tree: Random(f"noise {self.comparisons} {tree}") for tree in ("base", None)}

        def sample(tree: str | None, _: str) -> float:
            return (10_000 if tree else value) + noise[tree].gauss(0, SHARE * 10_000)

        rival = Rival("best", "base", paired_design.plan_comparison(METRIC.pairs, self.comparisons))
        comparison = compare_in_pairs(
            METRIC, rival, sample, lambda _: None, coin=self.toss, extra=lambda: self.coins.randrange(3)
        )
        assert isinstance(comparison, RecordedComparison)
        return comparison


def test_luck_is_never_kept_and_a_tenth_is() -> None:
    campaign = Campaign()
    for number in range(1, TRIES + 1):
        comparison = campaign.compare(10_000)
        assert (comparison.number, comparison.ending != "improved") == (number, True)
    gain = campaign.compare(9_000)
    assert (gain.number, gain.ending) == (TRIES + 1, "improved")
    assert -0.16 < gain.effect / gain.base_median < -0.04


def test_the_coin_decides_the_order_of_each_round() -> None:
    rival = Rival("best", "base", paired_design.plan_comparison(METRIC.pairs, 1))
    for coin, extra, order in (
        (lambda: True, lambda: 0, "AABBA"),
        (lambda: False, lambda: 0, "BBAAB"),
        (lambda: False, lambda: 2, "BBBBAAB"),
    ):
        comparison = compare_in_pairs(
            METRIC, rival, lambda tree, _: 1.0 if tree else 2.0, lambda _: None, coin=coin, extra=extra
        )
        assert isinstance(comparison, RecordedComparison)
        assert set(comparison.orders) == {order}
