"""The branch that a pull request is opened from, and the one it goes to; both on the remote."""

from __future__ import annotations

from dataclasses import dataclass, replace

from git_planner.config.policy_file import policy_or_none
from git_planner.errors import PlannerError
from git_planner.flows.approval import reviewed_branch
from git_planner.flows.approval.request import make_request
from git_planner.flows.approval.reviewed_branch import read_approval
from git_planner.flows.guard.base_branch import find_base_branch
from git_planner.flows.review.review import Review
from git_planner.flows.review.subjects import find_subject
from git_planner.gitio import history, remote
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.approval.decide import check_document
from git_planner.rules.approval.subject import ReviewSubject, approved_path, request_branch
from git_planner.rules.policy.review_rule import ReviewRule


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """Target of a review: the remote, the branch `head` with its commit, and the branch `base`.

    `trusted` is the commit whose policy and code owners count. `paths` are those that change. `subject` is
    what a merge approves; None for a guard proposal, which changes the base itself. `is_merged`: it is in
    `base` already, and nothing is proposed.
    """

    rule: ReviewRule
    remote: str
    head: str
    commit: str
    base: str
    trusted: str
    paths: tuple[str, ...]
    subject: ReviewSubject | None
    is_merged: bool = False


def find_target(repo: Repository, review: Review, progress: Progress) -> RequestTarget:
    """Make the branch that proposes what is reviewed; it is not pushed yet.

    Raises:
        PlannerError: E_USAGE if there is nothing to approve yet; E_REMOTE, E_POLICY, E_NO_BASE, E_CONFLICT.
    """
    if review.kind == "guard":
        return _guard_target(repo, review)
    policy, subject = find_subject(repo, review)
    rule = policy.review
    trusted = subject.base or str(review.facts.get("base") or "HEAD")
    _push_plan(repo, rule.remote, subject.plan, trusted, progress)
    tip = reviewed_branch.refresh(repo, rule.remote, subject.plan, progress)
    path, base = approved_path(subject), refnames.PLAN + subject.plan
    if tip is not None and _proposes(repo, subject, tip):
        head = request_branch(subject)
        return RequestTarget(rule, rule.remote, head, tip, base, trusted, (path,), subject, is_merged=True)
    request = make_request(repo, policy, subject, progress)
    return RequestTarget(
        rule=rule,
        remote=request.remote,
        head=request.branch,
        commit=request.commit,
        base=request.target,
        trusted=trusted,
        paths=(request.path,),
        subject=subject,
    )


def push_head(repo: Repository, target: RequestTarget, progress: Progress) -> tuple[RequestTarget, bool]:
    """Push the branch if the remote does not have it; return the target with the commit that is there.

    A branch that another clone has pushed for the same subject is taken as it is.

    Raises:
        PlannerError: E_REMOTE; E_CONFLICT if the branch holds something else there, or kept moving.
    """
    ref = refnames.HEADS + target.head
    there = remote.listing(repo, target.remote, ref).get(ref)
    if there == target.commit:
        return target, False
    if there is not None and not history.is_complete(repo.git, there):
        remote.fetch_commits(repo, target.remote, [ref], progress)
    if there is not None and not history.is_fast_forward(repo.git, target.commit, there):
        if target.subject is None or not _proposes(repo, target.subject, there):
            raise PlannerError(
                "E_CONFLICT",
                f"'{target.head}' on '{target.remote}' has commits that are not here",
                hint=f"look at them: git fetch {target.remote} {target.head}",
            )
        return replace(target, commit=there), False
    pushed = remote.push(repo, target.remote, [remote.Update(ref, target.commit, there)], progress)
    if isinstance(pushed, remote.LostRace):
        if pushed.tips.get(ref) == target.commit:
            # Another process has pushed the same.
            return target, False
        raise PlannerError(
            "E_CONFLICT",
            f"'{target.head}' moved on '{target.remote}' meanwhile",
            hint="run the same command again",
        )
    return target, True


def _guard_target(repo: Repository, review: Review) -> RequestTarget:
    found = find_base_branch(repo, lambda commit: policy_or_none(repo, commit))
    tip = found[1][0] if found and found[1] else review.facts["base"]
    policy = policy_or_none(repo, tip)
    rule = policy.review if policy else ReviewRule()
    commit = str(review.facts["commit"])
    changes = history.changes(repo.git, review.facts["base"], commit)
    return RequestTarget(
        rule=rule,
        remote=rule.remote,
        head=review.name,
        commit=commit,
        base=policy.base if policy else str(review.facts["base_ref"]),
        trusted=tip,
        paths=tuple(change.path for change in changes),
        subject=None,
    )


def _push_plan(repo: Repository, remote_name: str, plan: str, base: str, progress: Progress) -> None:
    """Create the plan's branch on a remote that has none: there the approval is merged."""
    ref = refnames.plan_ref(plan)
    if ref in remote.listing(repo, remote_name, ref):
        return
    tip = repo.maybe(ref) or repo.resolve(base)
    remote.push(repo, remote_name, [remote.Update(ref, tip, None)], progress)
    progress(f"'{refnames.short_name(ref)}' was created on '{remote_name}'")


def _proposes(repo: Repository, subject: ReviewSubject, commit: str) -> bool:
    document = read_approval(repo, f"{commit}:{approved_path(subject)}")
    return document is not None and check_document(document, subject) == "approved"
