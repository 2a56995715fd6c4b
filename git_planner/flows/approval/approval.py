"""The one definition of an approval: commands, hooks, MCP calls and CI ask here."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from git_planner.errors import PlannerError
from git_planner.flows.approval import reviewed_branch
from git_planner.flows.approval.merged import merged_approval
from git_planner.flows.approval.trusted_rule import with_trusted_rule
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.approval.decide import Approval, sentence
from git_planner.rules.approval.subject import ReviewSubject, request_branch
from git_planner.rules.policy.policy import Policy
from git_planner.rules.policy.review_rule import ReviewKind


def approval_of(
    repo: Repository,
    policy: Policy,
    subject: ReviewSubject,
    *,
    ask: Progress | None = None,
    details: bool = False,
    reviewed: str | None = None,
) -> Approval:
    """Decide whether a subject is approved, by what git alone can prove.

    Args:
        repo: the repository.
        policy: the policy of the commit that it runs on; the rule for reviews is today's of the base branch.
        subject: what is to run.
        ask: ask the remote for its branch first, with this for progress messages (default: decide by what
            was fetched last).
        details: also find who approved it and when, even if the policy's rule does not need it.
        reviewed: the tip of the reviewed branch, on a server that has it as its own (default: as fetched).

    Raises:
        PlannerError: E_NAME.
    """
    policy = with_trusted_rule(repo, policy, subject.kind)
    rule = policy.review
    if not rule.requires(subject.kind):
        return Approval("off")
    problem: PlannerError | None = None
    if ask is not None:
        try:
            reviewed_branch.refresh(repo, rule.remote, subject.plan, ask)
        except PlannerError as error:
            if error.code != "E_REMOTE":
                raise
            problem = error
    tips = [reviewed or reviewed_branch.tracking_ref(rule.remote, subject.plan)]
    if rule.by == "approval":
        # Imported where it is needed: 'git iterate' asks each time, and most policies approve by merge.
        from git_planner.flows.approval.signed import signed_approval

        # A signature counts wherever its commit is.
        own = [] if reviewed else [refnames.plan_ref(subject.plan)]
        approval = signed_approval(repo, policy, subject, [tip for tip in (*own, *tips) if _has(repo, tip)])
    elif _has(repo, tips[0]):
        approval = merged_approval(repo, policy, subject, tips[0], details=details)
    else:
        approval = Approval("missing")
    if problem is not None and not approval.ok:
        approval = Approval("unreachable", reason=f"cannot be checked: {problem.message}")
    return replace(approval, asked=rule.addresses)


def require(
    repo: Repository,
    policy: Policy,
    subject: ReviewSubject,
    progress: Progress,
    *,
    then: str = "",
    ask: bool = True,
) -> Approval:
    """Return the approval of a subject, or refuse it; the remote is asked if it is not known here.

    Args:
        repo: the repository.
        policy: the policy of the trusted base.
        subject: what is to run.
        progress: called with each progress message.
        then: the command that goes on after the approval, if it is another one than this.
        ask: False if the remote was asked already.

    Raises:
        PlannerError: E_REVIEW, with who is asked and where.
    """
    approval = approval_of(repo, policy, subject)
    if approval.ok:
        return approval
    if ask:
        approval = approval_of(repo, policy, subject, ask=progress)
    if approval.ok:
        return approval
    policy = with_trusted_rule(repo, policy, subject.kind)
    raise refusal(policy, subject, approval, then, link=_request_link(repo, policy.review.remote, subject))


def ask_remote(repo: Repository, policy: Policy, plan: str, kind: ReviewKind, progress: Progress) -> None:
    """Fetch the reviewed branch of a plan, if things of a kind need an approval and it can be fetched."""
    policy = with_trusted_rule(repo, policy, kind)
    if policy.review.requires(kind):
        try:
            reviewed_branch.refresh(repo, policy.review.remote, plan, progress)
        except PlannerError as error:
            if error.code != "E_REMOTE":
                raise
            progress(f"approvals are those that were fetched last: {error.message}")


def refusal(
    policy: Policy, subject: ReviewSubject, approval: Approval, then: str = "", *, link: str | None = None
) -> PlannerError:
    """Return the error for a subject that may not run; `link` is where a pull request for it is opened."""
    rule = policy.review
    who = ", ".join(approval.asked) or f"everyone who may merge into 'plan/{subject.plan}' on '{rule.remote}'"
    how = "--open" if rule.by == "merge" else "--approve"
    what = refnames.PLAN + subject.plan if subject.kind == "plan" else subject.name
    name = f"the {_noun(subject)} '{subject.name}'"
    details = [f"asked: {who}", *([f"link: {link}"] if link else [])]
    details += [f"once it is approved: {then}"] if then else []
    return PlannerError(
        "E_REVIEW",
        f"{name} {sentence(approval)}",
        hint=f"git plan review {what} {how}",
        details=details,
    )


def _noun(subject: ReviewSubject) -> str:
    if subject.name.startswith(refnames.TOURNAMENT):
        return "prompt of the tournament"
    return "task" if subject.name.startswith("task_") else subject.kind


def _request_link(repo: Repository, remote_name: str, subject: ReviewSubject) -> str | None:
    """Return the address of the form for a pull request that approves a subject; None for unknown sites."""
    from git_planner.flows.forge.choose import find_address
    from git_planner.rules.forge.address import new_request_link

    with suppress(PlannerError):
        if address := find_address(repo, remote_name):
            base = refnames.short_name(refnames.plan_ref(subject.plan))
            return new_request_link(address, request_branch(subject), base, "", "")
    return None


def _has(repo: Repository, tip: str) -> bool:
    return repo.maybe(tip) is not None
