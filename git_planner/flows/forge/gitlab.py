"""Merge requests on GitLab, through glab."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlencode

from git_planner.errors import PlannerError
from git_planner.flows.forge.api_program import ApiProgram
from git_planner.rules.forge import gitlab as rules
from git_planner.rules.forge.pull_request import ForgeComment, PullRequest, RequestText


class GitLabClient:
    """A client for one project."""

    name = "glab"

    def __init__(self, api: ApiProgram) -> None:
        self._api = api
        self._project = f"projects/{quote(api.address.path, safe='')}"

    def find(self, head: str) -> PullRequest | None:
        """Return the newest merge request from a branch, open or not; None if there is none."""
        query = {"source_branch": head, "state": "all", "order_by": "created_at", "sort": "desc"}
        rows = self._api.rows(f"{self._project}/merge_requests?{urlencode(query)}&per_page=30")
        requests = [rules.request_from(row, head) for row in rows]
        return next((request for request in requests if request is not None), None)

    def open(self, text: RequestText) -> tuple[PullRequest, Sequence[str]]:
        """Open a merge request; return it with remarks on people who could not be asked."""
        ids, remarks = [], []
        for name in text.reviewers:
            rows = self._api.rows(f"users?{urlencode({'username': name})}")
            ids_of_name = [
                row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), int)
            ]
            ids += ids_of_name[:1]
            remarks += [] if ids_of_name else [f"reviewers were not asked: no person '{name[:80]}'"]
        document = self._api.call("POST", f"{self._project}/merge_requests", rules.new_request(text, ids))
        return self._own(document, text.head), remarks

    def update(self, request: PullRequest, text: RequestText) -> PullRequest:
        """Change title, description and target of a merge request."""
        document = rules.new_request(text, ())
        body = {key: document[key] for key in ("title", "description", "target_branch")}
        path = f"{self._project}/merge_requests/{request.number}"
        return self._own(self._api.call("PUT", path, body), text.head)

    def comments(self, request: PullRequest) -> list[ForgeComment]:
        """Return what people said, the oldest first."""
        path = f"{self._project}/merge_requests/{request.number}"
        notes = list(self._api.pages(f"{path}/notes"))
        members = self._api.pages(f"{self._project}/members/all")
        writers = rules.writers_among(members)
        approvals = rules.approvals_from(self._api.call("GET", f"{path}/approvals"), writers, request.url)
        comments = [*rules.comments_from(notes, writers, request.url), *approvals]
        return sorted(comments, key=lambda comment: comment.at)

    def _own(self, document: object, head: str) -> PullRequest:
        request = rules.request_from(document, head)
        if request is None:
            raise PlannerError(
                "E_FORGE",
                f"'{self._api.address.host}' answered with a merge request that is not one of"
                f" '{self._api.address.path}'",
                hint="look at the project in a browser",
            )
        return request
