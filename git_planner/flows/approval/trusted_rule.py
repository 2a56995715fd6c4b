"""Find the rule for reviews that counts: today's of the trusted base, whatever base something runs on."""

from __future__ import annotations

from git_planner.config.policy_file import policy_or_none
from git_planner.flows.guard.base_branch import find_base_branch
from git_planner.gitio.repository import Repository
from git_planner.rules.policy.policy import Policy
from git_planner.rules.policy.review_rule import ReviewKind


def with_trusted_rule(repo: Repository, policy: Policy, kind: ReviewKind) -> Policy:
    """Return a policy with the rule for reviews that the base branch has today.

    An older base, or one that a packet or '--from' names, may know no reviews, or reviewers who have left.
    If the base branch is not the same here and as last fetched, the stricter one counts.

    Args:
        repo: the repository.
        policy: the policy of the commit that something runs on; it counts where no base branch has one.
        kind: what is to run.

    Raises:
        PlannerError: E_BASE, E_POLICY.
    """
    base = find_base_branch(repo, lambda commit: policy_or_none(repo, commit))
    # The fetched tip comes last, and is the one that other people see.
    tips = reversed(base[1]) if base else ()
    rules = [tip_policy.review for tip in tips if (tip_policy := policy_or_none(repo, tip))]
    if not rules:
        return policy
    return policy._replace(review=next((rule for rule in rules if rule.requires(kind)), rules[0]))
