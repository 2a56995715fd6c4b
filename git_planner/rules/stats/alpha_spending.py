"""The error budget of a campaign, and how the comparisons in it spend it. Pure.

What is promised is the number of false keeps to expect in a whole campaign, however long it goes on: at most
`alpha`. Comparison number k may be wrong with probability

    alpha_k = alpha * h / ((k + h - 1) * (k + h)),      which sums up to alpha over all k,

so after k comparisons alpha * k / (k + h) has been spent. The expected number of false keeps is at most the
sum of the shares whatever the comparisons have to do with each other (the union bound needs no independence),
and nothing has to be known about how many there will be. `h`, the horizon, is where half of the budget is
spent: shares are nearly level up to there, where 6 / (pi^2 k^2), the usual choice, gives the first comparison
61 % of the budget and the sixtieth 0.02 %. Rules that win budget back on success (LORD, alpha investing) keep
the *share* of false keeps among all keeps small, not their number, and on a project that improves often they
would let more false ones in; e-values can be looked at at any time, and pay for that freedom with more runs.

Within a comparison its share is spent over a few looks planned beforehand, so stopping at whichever look
succeeds is paid for (the union bound again).

Sources: K. K. G. Lan and D. L. DeMets, 'Discrete sequential boundaries for clinical trials', Biometrika 70
(1983), for spending; D. P. Foster and R. A. Stine, 'Alpha-investing', JRSS B 70 (2008), for series of tests.
"""

from __future__ import annotations

# How a comparison's share is spent over three looks: most on the first, which is the cheapest.
LOOKS = (0.5, 0.25, 0.25)


def alpha_share(number: int, alpha: float, horizon: int) -> float:
    """The probability with which one comparison of a campaign may be a false keep.

    Args:
        number: which comparison of the campaign it is, from 1.
        alpha: false keeps to expect in the whole campaign, at most.
        horizon: after so many comparisons half of alpha is spent.

    Raises:
        ValueError: number or horizon is smaller than 1.
    """
    if number < 1 or horizon < 1:
        raise ValueError("comparisons and horizons are counted from 1")
    return alpha * horizon / ((number + horizon - 1) * (number + horizon))


def alpha_spent(count: int, alpha: float, horizon: int) -> float:
    """The sum of the shares of the first comparisons: false keeps to expect among them, at most."""
    return alpha * count / (count + horizon)
