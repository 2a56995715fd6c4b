"""The client of a hosting site: what opening a pull request and reading what was said need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from git_planner.rules.forge.pull_request import ForgeComment, PullRequest, RequestText


class ForgeClient(Protocol):
    """A client that is logged in. Every method raises PlannerError with E_FORGE or E_DEADLINE."""

    name: str

    def find(self, head: str) -> PullRequest | None:
        """Return the newest pull request from a branch, open or not; None if there is none."""

    def open(self, text: RequestText) -> tuple[PullRequest, Sequence[str]]:
        """Open a pull request; return it with remarks on what the site did not take."""

    def update(self, request: PullRequest, text: RequestText) -> PullRequest:
        """Change title, body and base of a pull request."""

    def comments(self, request: PullRequest) -> list[ForgeComment]:
        """Return what people said, the oldest first."""
