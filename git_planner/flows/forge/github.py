"""Pull requests on GitHub and GitHub Enterprise, through gh."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlencode

from git_planner.errors import PlannerError
from git_planner.flows.forge.api_program import ApiProgram
from git_planner.rules.forge import github as rules
from git_planner.rules.forge.answers import refusal, site_reason
from git_planner.rules.forge.pull_request import ForgeComment, PullRequest, RequestText


class GitHubClient:
    """A client for one repository."""

    name = "gh"

    def __init__(self, api: ApiProgram) -> None:
        self._api = api
        self._path = api.address.path
        self._repository = f"repos/{quote(self._path)}"

    def find(self, head: str) -> PullRequest | None:
        """Return the newest pull request from a branch, open or not; None if there is none."""
        owner = self._path.partition("/")[0]
        query = {"head": f"{owner}:{head}", "state": "all", "sort": "created", "direction": "desc"}
        rows = self._api.rows(f"{self._repository}/pulls?{urlencode(query)}&per_page=30")
        requests = [rules.request_from(row, self._path) for row in rows]
        return next((request for request in requests if request and request.head == head), None)

    def open(self, text: RequestText) -> tuple[PullRequest, Sequence[str]]:
        """Open a pull request; return it with remarks on what the site did not take."""
        answer = self._api.ask("POST", f"{self._repository}/pulls", rules.new_request(text))
        if answer.status == 422 and (present := self.find(text.head)) and present.state == "open":
            # Another process was faster.
            return self.update(present, text), ()
        if answer.status == 422 and text.draft and "draft" in site_reason(answer).lower():
            plain = rules.new_request(text) | {"draft": False}
            answer = self._api.ask("POST", f"{self._repository}/pulls", plain)
        error = refusal(answer, self._api.address.host, self._path, self._api.program)
        if error is not None:
            raise error
        request = self._own(answer.document)
        return request, self._ask_people(request, text)

    def update(self, request: PullRequest, text: RequestText) -> PullRequest:
        """Change title, body and base of a pull request."""
        body = {"title": text.title, "body": text.body, "base": text.base}
        return self._own(self._api.call("PATCH", f"{self._repository}/pulls/{request.number}", body))

    def comments(self, request: PullRequest) -> list[ForgeComment]:
        """Return what people said, the oldest first."""
        number = request.number
        lists = (
            ("review", f"{self._repository}/pulls/{number}/reviews"),
            ("line", f"{self._repository}/pulls/{number}/comments"),
            ("comment", f"{self._repository}/issues/{number}/comments"),
        )
        comments = [
            comment for kind, path in lists for comment in rules.comments_from(self._api.pages(path), kind)
        ]
        return sorted(comments, key=lambda comment: comment.at)

    def _ask_people(self, request: PullRequest, text: RequestText) -> list[str]:
        """Set labels and ask reviewers; a refusal becomes a remark, since the pull request is open."""
        reviewers = rules.reviewers_of(text.reviewers, request.author)
        calls: list[tuple[str, str, object]] = []
        if text.labels:
            path = f"{self._repository}/issues/{request.number}/labels"
            calls.append(("labels were not set", path, {"labels": list(text.labels)}))
        if reviewers["reviewers"] or reviewers["team_reviewers"]:
            path = f"{self._repository}/pulls/{request.number}/requested_reviewers"
            calls.append(("reviewers were not asked", path, reviewers))
        remarks = []
        for failure, path, body in calls:
            try:
                self._api.call("POST", path, body)
            except PlannerError as error:
                remarks.append(f"{failure}: {error.message}")
        return remarks

    def _own(self, document: object) -> PullRequest:
        request = rules.request_from(document, self._path)
        if request is None:
            raise PlannerError(
                "E_FORGE",
                f"'{self._api.address.host}' answered with a pull request that is not one of '{self._path}'",
                hint="look at the repository in a browser",
            )
        return request
