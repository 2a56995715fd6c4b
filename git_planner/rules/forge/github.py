"""Requests to GitHub's programming interface, and what its answers say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from git_planner.rules.forge.pull_request import (
    Decision,
    ForgeComment,
    PullRequest,
    RequestState,
    RequestText,
)

_WRITERS = ("OWNER", "MEMBER", "COLLABORATOR")
_DECISIONS: dict[str, Decision] = {"APPROVED": "approved", "CHANGES_REQUESTED": "changes_requested"}


def request_from(document: Any, path: str) -> PullRequest | None:
    """Return a pull request from its document; None for one of another repository or from a fork.

    Args:
        document: what the site sent.
        path: owner and name of the repository that was asked about.
    """
    base, head = branch_of(document, "base"), branch_of(document, "head")
    if any(_repository(side) != path.lower() for side in (base, head)):
        return None
    number, url = document.get("number"), document.get("html_url")
    if not isinstance(number, int) or not isinstance(url, str):
        return None
    state: RequestState = "open" if document.get("state") == "open" else "closed"
    return PullRequest(
        number=number,
        url=url,
        state="merged" if document.get("merged_at") else state,
        title=str(document.get("title") or ""),
        body=str(document.get("body") or "").replace("\r\n", "\n"),
        base=str(base.get("ref")),
        head=str(head.get("ref")),
        head_commit=str(head.get("sha")),
        author=login_of(document),
    )


def branch_of(document: Any, side: str) -> Mapping[str, Any]:
    """Return the document of one side of a pull request: 'base' or 'head'."""
    value = document.get(side) if isinstance(document, dict) else None
    return value if isinstance(value, dict) else {}


def _repository(side: Mapping[str, Any]) -> str:
    repository = side.get("repo")
    return str(repository.get("full_name")).lower() if isinstance(repository, dict) else ""


def new_request(text: RequestText) -> dict[str, Any]:
    """Return the document that opens a pull request."""
    return {
        "title": text.title,
        "body": text.body,
        "head": text.head,
        "base": text.base,
        "draft": text.draft,
        "maintainer_can_modify": False,
    }


def reviewers_of(owners: Iterable[str], author: str) -> dict[str, list[str]]:
    """Return the document that asks people and teams for a review; an author cannot review."""
    people = [name for name in owners if "/" not in name and name.lower() != author.lower()]
    return {"reviewers": people, "team_reviewers": [name.partition("/")[2] for name in owners if "/" in name]}


def comments_from(documents: Iterable[Any], kind: str) -> list[ForgeComment]:
    """Return what people said; what bots said, and reviews that are not sent yet, is left out.

    Args:
        documents: reviews, comments on lines, or comments on the pull request.
        kind: a short word for the kind, which makes ids unique.
    """
    comments = []
    for document in documents:
        if not isinstance(document, dict) or not isinstance(document.get("id"), int):
            continue
        author, state = document.get("user"), str(document.get("state") or "")
        if not isinstance(author, dict) or author.get("type") == "Bot" or state in ("PENDING", "DISMISSED"):
            continue
        line = document.get("line") or document.get("original_line")
        path = document.get("path")
        comments.append(
            ForgeComment(
                id=f"{kind}-{document['id']}",
                author=login_of(document),
                at=str(document.get("submitted_at") or document.get("created_at") or ""),
                decision=_DECISIONS.get(state, "comment"),
                text=str(document.get("body") or ""),
                is_reviewer=document.get("author_association") in _WRITERS,
                url=str(document.get("html_url") or ""),
                place=f"{path}:{line}" if path and line else str(path or ""),
            )
        )
    return comments


def login_of(document: Mapping[str, Any]) -> str:
    """Return the login of the author of a document."""
    user = document.get("user")
    return str(user.get("login") or "") if isinstance(user, dict) else ""
