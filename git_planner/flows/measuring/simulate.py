"""Simulate noisy comparisons: false keeps, power and cost, with the parameters of a policy."""

from __future__ import annotations

from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.gitio.repository import open_repository
from git_planner.rules.stats.pairs import Pairs
from git_planner.rules.stats.simulation import SimulationReport
from git_planner.rules.stats.simulation import simulate as run


def simulate(metric: str | None, trials: int, campaigns: int, seed: int) -> SimulationReport:
    """Simulate campaigns of noisy comparisons.

    Args:
        metric: a metric of the policy at HEAD, whose parameters apply (default: the default parameters).
        trials: the number of candidates in a campaign.
        campaigns: the number of simulated campaigns.
        seed: the seed of the random numbers.

    Raises:
        PlannerError: E_USAGE if the policy has no such metric, and the errors of reading the policy.
    """
    return run(Pairs() if metric is None else _pairs(metric), trials, campaigns, seed)


def _pairs(name: str) -> Pairs:
    repo = open_repository()
    policy = policy_at(repo, repo.resolve("HEAD"))
    for metric in policy.metrics:
        if metric.name == name:
            return metric.pairs
    names = ", ".join(metric.name for metric in policy.metrics) or "none"
    raise PlannerError("E_USAGE", f"the policy has no metric '{name[:80]}'", hint=f"its metrics: {names}")
