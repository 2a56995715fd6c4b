"""`git plan review --open`: push the branch of a review, and open or update its one pull request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from git_planner.errors import PlannerError
from git_planner.flows.forge.choose import find_address, find_client
from git_planner.flows.forge.contract import ForgeClient
from git_planner.flows.review.forge.target import RequestTarget, find_target, push_head
from git_planner.flows.review.review import Review
from git_planner.flows.review.review import review as render
from git_planner.gitio.git import read_objects
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules.documents.escape_markdown import bound_body
from git_planner.rules.forge.address import new_request_link
from git_planner.rules.forge.codeowners import PLACES, find_owners
from git_planner.rules.forge.pull_request import PullRequest, RequestText, join_body

OpenAction = Literal["opened", "updated", "unchanged", "closed", "merged", "link"]
# Hosting sites refuse texts of more than 65,536 characters.
_MAX_TEXT, _LEAST_REVIEW, _MAX_CODEOWNERS = 65_000, 2_000, 1024 * 1024


@dataclass(frozen=True, slots=True)
class OpenedReview:
    """Result of opening a review: the pull request, or what a person needs to open one in a browser.

    `action` is what was done. 'closed' and 'merged' tell of a pull request that people have ended and that
    shows the same commit; it is left as it is. `link` is the site's form, if the site is known.
    """

    review: Review
    action: OpenAction
    target: RequestTarget
    is_pushed: bool
    request: PullRequest | None
    link: str | None
    text: RequestText
    remarks: Sequence[str]

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/opened@1",
            "kind": self.review.kind,
            "name": self.review.name,
            "action": self.action,
            "remote": self.target.remote,
            "head": self.target.head,
            "commit": self.target.commit,
            "base": self.target.base,
            "pushed": self.is_pushed,
            "number": self.request.number if self.request else None,
            "url": self.request.url if self.request else None,
            "link": self.link,
            "title": self.text.title,
            "body": self.text.body,
            "reviewers": list(self.text.reviewers),
            "remarks": list(self.remarks),
        }


def open_review(repo: Repository, what: str | None, progress: Progress) -> OpenedReview:
    """Push the branch of a review, and open or update its pull request.

    Killed in between, the same command goes on: it finds the pushed branch, and the pull request of it.

    Args:
        repo: the repository.
        what: what is reviewed, see `review`.
        progress: called with each progress message.

    Raises:
        PlannerError: what `review` raises; E_USAGE if there is nothing to approve yet; E_REMOTE, E_CONFLICT;
            E_FORGE and E_DEADLINE if the site cannot be used, with the link for a browser.
    """
    review = render(repo, what)
    target = find_target(repo, review, progress)
    address = find_address(repo, target.remote)
    client = find_client(repo, address) if address else None
    # A site that cannot be asked is told before anything is pushed.
    request = client.find(target.head) if client else None
    if target.is_merged:
        text = _request_text(repo, review, target, request)
        remark = f"'{target.base}' on '{target.remote}' has its approval already; nothing was pushed"
        return OpenedReview(review, "merged", target, False, request, None, text, (remark,))
    target, is_pushed = push_head(repo, target, progress)
    text = _request_text(repo, review, target, request)
    link = new_request_link(address, target.head, target.base, text.title, text.body) if address else None
    if client is None:
        return OpenedReview(review, "link", target, is_pushed, None, link, text, ())
    try:
        action, request, remarks = _open(client, request, target, text)
    except PlannerError as error:
        state = f"'{target.head}' is on '{target.remote}'; the same command goes on from there"
        details = [*error.details, state, *([f"in a browser: {link}"] if link else [])]
        raise PlannerError(error.code, error.message, hint=error.hint, details=details) from None
    return OpenedReview(review, action, target, is_pushed, request, link, text, remarks)


def _open(
    client: ForgeClient, request: PullRequest | None, target: RequestTarget, text: RequestText
) -> tuple[OpenAction, PullRequest, Sequence[str]]:
    if request is None or (request.state != "open" and request.head_commit != target.commit):
        opened, remarks = client.open(text)
        return "opened", opened, remarks
    if request.state != "open":
        return request.state, request, ()
    if (request.title, request.body.strip(), request.base) == (text.title, text.body.strip(), text.base):
        return "unchanged", request, ()
    return "updated", client.update(request, text), ()


def _request_text(
    repo: Repository, review: Review, target: RequestTarget, request: PullRequest | None
) -> RequestText:
    old = request.body if request and request.state == "open" else ""
    around = len(join_body(old, ""))
    room = max(_LEAST_REVIEW, _MAX_TEXT - around)
    note = f"cut: 'git plan review {review.name}' has the rest"
    return RequestText(
        head=target.head,
        base=target.base,
        title=review.title,
        body=join_body(old, bound_body(review.body, note, room)),
        draft=target.rule.draft,
        labels=target.rule.labels,
        reviewers=_code_owners(repo, target),
    )


def _code_owners(repo: Repository, target: RequestTarget) -> tuple[str, ...]:
    """Return the owners of the paths that change, by the trusted base's file."""
    for content in read_objects(repo.git, [f"{target.trusted}:{place}" for place in PLACES]):
        if content is not None:
            return find_owners(content[:_MAX_CODEOWNERS].decode(errors="replace"), target.paths)
    return ()
