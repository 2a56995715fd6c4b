"""Pull requests and what is said about them, as every hosting site has them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

RequestState = Literal["open", "closed", "merged"]
Decision = Literal["approved", "changes_requested", "comment"]
BEGIN, END = "<!-- git-planner: review -->", "<!-- git-planner: end of review -->"


@dataclass(frozen=True, slots=True)
class RequestText:
    """Content of a pull request: branches, title, body; `draft`, labels and reviewers of a new one."""

    head: str
    base: str
    title: str
    body: str
    draft: bool = False
    labels: Sequence[str] = ()
    reviewers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request as a site reports it. `head_commit` is what it showed last."""

    number: int
    url: str
    state: RequestState
    title: str
    body: str
    base: str
    head: str
    head_commit: str
    author: str


@dataclass(frozen=True, slots=True)
class ForgeComment:
    """Comment of one person on a pull request.

    `id` is unique on the site. `is_reviewer`: the site counts the author among those who may write to the
    repository. `place` is a path with a line, for a comment on one.
    """

    id: str
    author: str
    at: str
    decision: Decision
    text: str
    is_reviewer: bool
    url: str = ""
    place: str = ""


def join_body(old: str, review: str) -> str:
    """Return the body of a pull request with the review in it; what people wrote around it stays."""
    block = f"{BEGIN}\n{review.strip()}\n{END}"
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{block}{after}" if begin and end else block + "\n"


def is_own_text(text: str) -> bool:
    """Return whether a comment was written by git-planner itself, as its CI templates do."""
    return "<!-- git-planner" in text
