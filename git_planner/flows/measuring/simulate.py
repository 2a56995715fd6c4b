"""`git record simulate`: false keeps, power and cost of noisy comparisons, with the numbers of a policy."""

from __future__ import annotations

from random import Random

from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.gitio.repository import open_repository
from git_planner.rules.stats.pairs import Pairs
from git_planner.rules.stats.simulation import SimulationReport
from git_planner.rules.stats.simulation import simulate as run


def simulate(metric: str | None, trials: int, campaigns: int, random: Random) -> SimulationReport:
    """Find out what comparisons are worth.

    Args:
        metric: a metric of the policy at HEAD whose numbers count; the default ones when None.
        trials: candidates in a campaign.
        campaigns: how often each campaign is gone through.
        random: the only source of chance.

    Raises:
        PlannerError: E_USAGE for a metric that the policy does not name, and what reading the policy raises.
    """
    return run(Pairs() if metric is None else _pairs(metric), trials, campaigns, random)


def _pairs(name: str) -> Pairs:
    repo = open_repository()
    policy = policy_at(repo, repo.resolve("HEAD"))
    for metric in policy.metrics:
        if metric.name == name:
            return metric.pairs
    names = ", ".join(metric.name for metric in policy.metrics) or "none"
    raise PlannerError("E_USAGE", f"the policy names no metric '{name[:80]}'", hint=f"its metrics: {names}")
