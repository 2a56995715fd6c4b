"""`git plan review --approve`: sign the approval of what is reviewed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from git_planner.config.settings import read_settings
from git_planner.errors import DONE, NO
from git_planner.flows.approval.approval import approval_of
from git_planner.flows.plans.base_commit import find_base
from git_planner.flows.review.review import Review
from git_planner.flows.review.review import review as render
from git_planner.flows.review.subjects import find_subject, review_approval
from git_planner.gitio.repository import Repository
from git_planner.rules.approval.decide import Approval
from git_planner.rules.approval.text import approval_section


@dataclass(frozen=True, slots=True)
class SignedReview:
    """An approval that was signed: its plan and commit, and whether it counts."""

    review: Review
    plan: str
    commit: str
    approval: Approval

    @property
    def exit(self) -> int:
        """Return 0 if the approval counts, else 1."""
        return DONE if self.approval.ok else NO

    def document(self) -> dict[str, Any]:
        """Return the approval as one JSON document."""
        return {
            "schema": "git-planner/signed@1",
            "kind": self.review.kind,
            "name": self.review.name,
            "plan": self.plan,
            "commit": self.commit,
            "approval": self.approval.document(),
        }


def approve_review(repo: Repository, what: str | None, note: str) -> SignedReview:
    """Approve what is reviewed by a signed commit on the plan's branch; nothing is pushed.

    Args:
        repo: the repository.
        what: what is reviewed, see `review`.
        note: remarks.

    Raises:
        PlannerError: what `review` raises; E_USAGE if there is nothing to approve, or the policy approves by
            merge; E_SIGN, E_IDENTITY, E_CHECKED_OUT.
    """
    from git_planner.flows.approval.signed import approve

    review = render(repo, what)
    policy, subject = find_subject(repo, review)
    base = subject.base or find_base(repo, subject.plan, None).oid
    seconds = read_settings(repo).sign_timeout
    commit = approve(repo, policy, subject, note, base=base, sign_seconds=seconds)
    return SignedReview(review, subject.plan, commit, approval_of(repo, policy, subject, details=True))


def with_approval(repo: Repository, review: Review) -> Review:
    """Return a review with its approval, as it is known here, after its first lines."""
    approval = review_approval(repo, review)
    if approval is None:
        return review
    head, mark, rest = review.body.partition("\n\n## ")
    section = approval_section(approval, review.kind)
    return replace(review, body=f"{head}\n\n{section}{mark}{rest}", approval=approval)
