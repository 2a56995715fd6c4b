"""Requests to GitLab's programming interface, and what its answers say. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from git_planner.rules.forge.pull_request import ForgeComment, PullRequest, RequestState, RequestText

# The access level of a developer, who may push.
WRITER = 30
_DRAFT = "Draft: "
_STATES: dict[str, RequestState] = {"opened": "open", "locked": "open", "merged": "merged"}


def request_from(document: Any, head: str) -> PullRequest | None:
    """Return a merge request from its document; None for one of another branch or from a fork."""
    if not isinstance(document, dict) or document.get("source_branch") != head:
        return None
    number, url = document.get("iid"), document.get("web_url")
    is_fork = document.get("source_project_id") != document.get("target_project_id")
    if is_fork or not isinstance(number, int) or not isinstance(url, str):
        return None
    author = document.get("author")
    return PullRequest(
        number=number,
        url=url,
        state=_STATES.get(str(document.get("state")), "closed"),
        title=str(document.get("title") or "").removeprefix(_DRAFT),
        body=str(document.get("description") or "").replace("\r\n", "\n"),
        base=str(document.get("target_branch")),
        head=head,
        head_commit=str(document.get("sha")),
        author=str(author.get("username") or "") if isinstance(author, dict) else "",
    )


def new_request(text: RequestText, reviewers: Sequence[int]) -> dict[str, Any]:
    """Return the document that opens a merge request."""
    return {
        "title": f"{_DRAFT}{text.title}" if text.draft else text.title,
        "description": text.body,
        "source_branch": text.head,
        "target_branch": text.base,
        "labels": ",".join(text.labels),
        "reviewer_ids": list(reviewers),
    }


def writers_among(members: Iterable[Any]) -> set[int]:
    """Return the ids of the members who may push."""
    known = (member for member in members if isinstance(member, dict))
    levels = {member.get("id"): member.get("access_level") for member in known}
    return {
        person
        for person, level in levels.items()
        if isinstance(person, int) and isinstance(level, int) and level >= WRITER
    }


def comments_from(documents: Iterable[Any], writers: Collection[int], url: str) -> list[ForgeComment]:
    """Return what people said in the notes of a merge request; the site's own notes are left out.

    Args:
        documents: the notes.
        writers: the ids of those who may push.
        url: the merge request.
    """
    comments = []
    for note in documents:
        if not isinstance(note, dict) or note.get("system") or not isinstance(note.get("id"), int):
            continue
        author = note.get("author")
        if not isinstance(author, dict) or author.get("bot"):
            continue
        position = note.get("position")
        place = position.get("new_path") if isinstance(position, dict) else None
        comments.append(
            ForgeComment(
                id=f"note-{note['id']}",
                author=str(author.get("username") or ""),
                at=str(note.get("created_at") or ""),
                # GitLab's own requests for changes are in no note; an open thread asks for a change.
                decision="changes_requested"
                if note.get("resolvable") and not note.get("resolved")
                else "comment",
                text=str(note.get("body") or ""),
                is_reviewer=author.get("id") in writers,
                url=f"{url}#note_{note['id']}",
                place=str(place or ""),
            )
        )
    return comments


def approvals_from(document: Any, writers: Collection[int], url: str) -> list[ForgeComment]:
    """Return the approvals of a merge request."""
    rows = document.get("approved_by") if isinstance(document, dict) else None
    approvals = []
    for row in rows if isinstance(rows, list) else ():
        user = row.get("user") if isinstance(row, dict) else None
        if isinstance(user, dict) and isinstance(user.get("id"), int):
            name = str(user.get("username") or "")
            is_writer = user["id"] in writers
            approvals.append(ForgeComment(f"approval-{user['id']}", name, "", "approved", "", is_writer, url))
    return approvals
