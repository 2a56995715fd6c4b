"""Alpha spending: the error budget of a campaign and the shares of its comparisons. Pure.

The expected number of false keeps in a complete campaign is at most `alpha`, however long it lasts.
Comparison number k may be wrong with probability

    alpha_k = alpha * h / ((k + h - 1) * (k + h)),      which sums up to alpha over all k,

so after k comparisons alpha * k / (k + h) has been spent. The expected number of false keeps is at most the
sum of the shares, even if the comparisons depend on each other (the union bound), and their number need not
be known in advance. Half of the budget is spent after `h` comparisons, the horizon: the shares are nearly
equal up to there, whereas the usual 6 / (pi^2 k^2) gives the first comparison 61 % of the budget and the
sixtieth 0.02 %. Rules that regain budget on success (LORD, alpha investing) bound the *share* of false keeps
among all keeps, not their number, and would admit more of them in a project that improves often; e-values
allow looks at any time, but cost more runs.

Within a comparison, its share is spent over a few looks planned in advance, which pays for stopping at the
first look that succeeds (again by the union bound).

Sources: K. K. G. Lan and D. L. DeMets, 'Discrete sequential boundaries for clinical trials', Biometrika 70
(1983), for spending; D. P. Foster and R. A. Stine, 'Alpha-investing', JRSS B 70 (2008), for series of tests.
"""

from __future__ import annotations

# Parts of a comparison's share for its three looks: most for the first, which is the cheapest.
LOOKS = (0.5, 0.25, 0.25)


def alpha_share(number: int, alpha: float, horizon: int) -> float:
    """Return the probability with which one comparison of a campaign may be a false keep.

    Args:
        number: the number of the comparison in the campaign, from 1.
        alpha: the largest expected number of false keeps in the campaign.
        horizon: the number of comparisons after which half of alpha is spent.

    Raises:
        ValueError: number or horizon is smaller than 1.
    """
    if number < 1 or horizon < 1:
        raise ValueError("comparisons and horizons are counted from 1")
    return alpha * horizon / ((number + horizon - 1) * (number + horizon))


def alpha_spent(count: int, alpha: float, horizon: int) -> float:
    """Return the sum of the shares of the first `count` comparisons: their largest expected false keeps."""
    return alpha * count / (count + horizon)
