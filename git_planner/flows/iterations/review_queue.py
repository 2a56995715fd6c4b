"""Directives that wait for their approval."""

from __future__ import annotations

from dataclasses import dataclass

from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.approval.approval import approval_of
from git_planner.flows.approval.trusted_rule import with_trusted_rule
from git_planner.flows.iterations import process_lock
from git_planner.flows.planning.list_iterations import Iteration, is_task_iteration, list_iterations
from git_planner.gitio.repository import Repository
from git_planner.rules.approval.decide import Approval
from git_planner.rules.approval.subject import state_subject
from git_planner.rules.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class WaitingDirective:
    """A planned iteration that nobody has carried out yet, with its approval."""

    iteration: Iteration
    approval: Approval

    @property
    def branch(self) -> str:
        """The short name of its branch."""
        return str(self.iteration.branch)


def waiting_directives(repo: Repository, plan: str) -> list[WaitingDirective]:
    """Return the planned iterations of a plan that need an approval, approved or not, the oldest first."""
    waiting = []
    for iteration in list_iterations(repo, plan):
        state, start = iteration.state, iteration.start
        if state is None or start is None or iteration.phase != "planned" or is_task_iteration(iteration):
            continue
        if process_lock.lock_holder(repo, iteration.number) is not None:
            continue
        approval = approval_of(repo, policy_at(repo, state.base), state_subject(state, start))
        if approval.state != "off":
            waiting.append(WaitingDirective(iteration, approval))
    return waiting


def check_queue(repo: Repository, policy: Policy, plan: str) -> None:
    """Refuse to plan another directive while too many wait for an approval.

    Raises:
        PlannerError: E_REVIEW.
    """
    policy = with_trusted_rule(repo, policy, "directive")
    if not policy.review.directives:
        return
    branches = [waiting.branch for waiting in waiting_directives(repo, plan) if not waiting.approval.ok]
    if len(branches) >= policy.review.queue:
        raise PlannerError(
            "E_REVIEW",
            f"{len(branches)} directives of plan '{plan}' wait for an approval, as many as the policy allows",
            hint=f"git plan review {branches[0]}, or give it up with 'git iterate abandon'",
            details=branches,
        )
