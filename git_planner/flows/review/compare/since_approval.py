"""`git plan review --diff`: compare what is reviewed with what was approved last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from git_planner import redact
from git_planner.flows.approval.approval import approval_of
from git_planner.flows.approval.reviewed_branch import list_approvals, read_approval, tracking_ref
from git_planner.flows.review.review import Review
from git_planner.flows.review.review import review as render
from git_planner.flows.review.subjects import find_subject
from git_planner.flows.tasks.edit import read_tasks
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.approval.decide import Approval
from git_planner.rules.approval.subject import (
    APPROVED,
    SIGNED,
    ReviewSubject,
    approvals_folder,
    is_tournament,
)
from git_planner.rules.policy.policy import Policy
from git_planner.rules.review.since_approval import LastApproval, ReviewedState, render_since

# Documents of one kind, the newest first, whose approval is decided.
_MAX_TRIED = 50


def review_since_approval(repo: Repository, what: str | None) -> Review:
    """Return a review whose body is the difference from what was approved last, as far as it is known here.

    Args:
        repo: the repository.
        what: what is reviewed, see `review`.

    Raises:
        PlannerError: what `review` raises; E_USAGE if there is nothing to approve; E_NO_POLICY, E_POLICY.
    """
    result = render(repo, what)
    if result.kind == "guard":
        # It is a difference already: from its base.
        return result
    policy, subject = find_subject(repo, result)
    last = find_last_approval(repo, policy, subject)
    now = ReviewedState(subject.kind, subject.digest, subject.base, subject.items, subject.document)
    titles = _item_titles(repo, subject) if subject.kind == "plan" else {}
    body = redact.mask_text(render_since(result.name, now, last, titles))
    facts = {"approved": _facts(last), "digest": subject.digest}
    return replace(result, body=body, source={**result.facts, **facts})


def find_last_approval(repo: Repository, policy: Policy, subject: ReviewSubject) -> LastApproval | None:
    """Return the newest approval of the same thing; for a directive, else that of another one of its plan."""
    # What was approved while the policy required it stays what was approved last.
    rule = policy.review._replace(directives=True, plans=True, specs=True)
    policy = policy._replace(review=rule)
    newest: LastApproval | None = None
    documents = sorted(_documents(repo, policy, subject), key=lambda row: str(row["at"]), reverse=True)
    for document in documents[:_MAX_TRIED]:
        is_same = document["name"] == subject.name or document["digest"] == subject.digest
        if newest is not None and not is_same:
            continue
        approval = approval_of(repo, policy, _subject_of(document), details=True)
        if approval.ok:
            newest = _last(document, approval, is_same=is_same)
            if is_same:
                return newest
    return newest if subject.kind == "directive" else None


def _documents(repo: Repository, policy: Policy, subject: ReviewSubject) -> Iterator[Mapping[str, Any]]:
    own = refnames.plan_ref(subject.plan)
    places = [(tracking_ref(policy.review.remote, subject.plan), APPROVED)]
    if policy.review.by == "approval":
        places = [(own, SIGNED), (places[0][0], SIGNED)]
    for tip, how in places:
        if repo.maybe(tip) is not None:
            folder = approvals_folder(subject.plan, how)
            for path in list_approvals(repo, tip, folder, f"{subject.kind}-"):
                document = read_approval(repo, f"{tip}:{path}")
                if document is not None and _is_alike(document, subject):
                    yield document


def _is_alike(document: Mapping[str, Any], subject: ReviewSubject) -> bool:
    """Return whether an approval is of the same plan, and of the same sort of directive."""
    is_same_sort = is_tournament(str(document["name"])) == is_tournament(subject.name)
    return document["plan"] == subject.plan and is_same_sort


def _subject_of(document: Mapping[str, Any]) -> ReviewSubject:
    fields = ("kind", "plan", "name", "digest", "base", "items", "document")
    return ReviewSubject(**{name: document[name] for name in fields})


def _last(document: Mapping[str, Any], approval: Approval, *, is_same: bool) -> LastApproval:
    return LastApproval(
        name=str(document["name"]),
        at=approval.at or str(document["at"]),
        by=approval.by or "",
        commit=approval.commit or "",
        digest=str(document["digest"]),
        base=document["base"],
        items=document["items"],
        document=document["document"],
        is_same=is_same,
    )


def _item_titles(repo: Repository, subject: ReviewSubject) -> dict[str, str]:
    """Return what the items of a plan are called."""
    tasks = read_tasks(repo, subject.plan).tasks
    return {task.uid: f"{task.id}: {task.title}" for task in tasks}


def _facts(last: LastApproval | None) -> dict[str, Any] | None:
    if last is None:
        return None
    names = ("name", "at", "by", "commit", "digest", "base")
    return {name: getattr(last, name) for name in names}
