"""Post the report of a CI job as one comment on its pull or merge request, or update it.

GitHub is asked through gh with the job's token, GitLab through curl with a token of the project. Only a
comment of the token's own account is changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from git_planner.errors import PlannerError
from git_planner.flows.ci.job import JobReport
from git_planner.flows.forge.api_program import DEADLINE, MAX_BYTES, MAX_PAGES, ApiProgram
from git_planner.gitio.repository import Repository
from git_planner.host import process
from git_planner.rules.ci.change_request import ChangeRequest, Host
from git_planner.rules.ci.job_report import MARKER
from git_planner.rules.forge.address import RepositoryAddress
from git_planner.rules.forge.answers import parse_answer, refusal

State = Literal["posted", "updated", "kept", "none"]
TOKEN = "GIT_PLANNER_TOKEN"
_PAGE = 100


def post_comment(
    repo: Repository, host: Host, report: JobReport, environ: Mapping[str, str], seconds: float = DEADLINE
) -> tuple[State, str]:
    """Post or update the comment.

    Args:
        repo: the clone of the job.
        host: the hosting site.
        report: the report, whose first line marks the comment.
        environ: the job's environment.
        seconds: the deadline of each answer.

    Returns:
        What was done, and why if nothing was.

    Raises:
        PlannerError: E_FORGE, E_DEADLINE, E_MISSING_TOOL, E_USAGE.
    """
    request = report.facts.request
    if request.number is None:
        return "none", "the job is of no pull request"
    if request.fork:
        return (
            "none",
            "the pull request comes from a fork, whose token may not comment: the summary has it all",
        )
    if not request.project:
        raise PlannerError("E_USAGE", "the job names no repository", hint="run it in a job of the template")
    if host == "github":
        return _post_github(repo, request, report, environ, seconds)
    return _post_gitlab(repo, request, report, environ, seconds)


def _post_github(
    repo: Repository, request: ChangeRequest, report: JobReport, environ: Mapping[str, str], seconds: float
) -> tuple[State, str]:
    server = urlsplit(environ.get("GITHUB_SERVER_URL", "")).netloc or "github.com"
    api = ApiProgram(repo, "gh", RepositoryAddress(server, request.project, "github"), seconds)
    issues = f"repos/{quote(request.project)}/issues"
    rows = api.pages(f"{issues}/{request.number}/comments")
    own = next((row for row in rows if _is_ours(row) and _part(row, "user").get("type") == "Bot"), None)
    if own is None:
        return _create(report, lambda body: api.call("POST", f"{issues}/{request.number}/comments", body))
    if own["body"] == report.body:
        return "kept", ""
    api.call("PATCH", f"{issues}/comments/{own['id']}", {"body": report.body})
    return "updated", ""


def _post_gitlab(
    repo: Repository, request: ChangeRequest, report: JobReport, environ: Mapping[str, str], seconds: float
) -> tuple[State, str]:
    url, token = environ.get("CI_API_V4_URL", ""), environ.get(TOKEN, "")
    if not token:
        return "none", f"the variable '{TOKEN}' is not set: the job's own token may not comment"
    api = _GitLabApi(repo, url, token, seconds)
    notes = f"projects/{request.project}/merge_requests/{request.number}/notes"
    me = _part({"user": api.call("GET", "user")}, "user").get("id")
    own = next(
        (row for row in api.pages(notes) if _is_ours(row) and _part(row, "author").get("id") == me), None
    )
    if own is None:
        return _create(report, lambda body: api.call("POST", notes, body))
    if own["body"] == report.body.rstrip("\n"):
        return "kept", ""
    api.call("PUT", f"{notes}/{own['id']}", {"body": report.body})
    return "updated", ""


def _create(report: JobReport, post: Any) -> tuple[State, str]:
    """Post a first comment, unless an ordinary change has nothing to tell."""
    if not report.facts.is_worth_a_comment:
        return "none", "there is nothing to tell"
    post({"body": report.body})
    return "posted", ""


def _is_ours(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("id"), int)
        and isinstance(row.get("body"), str)
        and row["body"].startswith(MARKER)
    )


def _part(row: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = row.get(key)
    return part if isinstance(part, dict) else {}


@dataclass(frozen=True, slots=True)
class _GitLabApi:
    """GitLab's programming interface through curl, which images with git mostly have."""

    repo: Repository
    url: str
    token: str
    seconds: float

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the document that answers a call."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("https", "http") or not self.token.isprintable() or '"' in self.token:
            raise PlannerError(
                "E_USAGE", f"'CI_API_V4_URL' or '{TOKEN}' cannot be used", hint="see GitLab's job log"
            )
        # On the input, so that no other process sees the token.
        lines = [f'header = "PRIVATE-TOKEN: {self.token}"', 'header = "Expect:"']
        if body is not None:
            text = json.dumps(body).replace("\\", "\\\\").replace('"', '\\"')
            lines += ['header = "Content-Type: application/json"', f'data-raw = "{text}"']
        argv = ["curl", "--disable", "--silent", "--show-error", "--include", "--suppress-connect-headers"]
        argv += ["--request", method, "--config", "-", "--", f"{self.url.rstrip('/')}/{path}"]
        data = "\n".join(lines).encode() + b"\n"
        ended = process.run(
            argv,
            cwd=self.repo.common,
            seconds=self.seconds,
            env=dict(os.environ),
            stdin=data,
            limit=MAX_BYTES,
        )
        if ended.timed_out:
            raise PlannerError(
                "E_DEADLINE",
                f"'{parts.netloc}' did not answer within {self.seconds:g} s",
                hint="run the job again",
            )
        answer = parse_answer(ended.stdout)
        error = refusal(answer, parts.netloc, path, TOKEN)
        if error is not None or ended.truncated:
            message = (
                error.message
                if error
                else f"'{parts.netloc}' gave an answer of more than {MAX_BYTES:,} bytes"
            )
            hint = f"'{TOKEN}' needs the scope 'api' and the role of a developer"
            raise PlannerError("E_FORGE", message, hint=hint)
        return answer.document

    def pages(self, path: str) -> Iterator[Any]:
        """Yield the rows of a list, page by page, up to a bound."""
        for page in range(1, MAX_PAGES + 1):
            rows = self.call("GET", f"{path}?per_page={_PAGE}&page={page}")
            yield from rows if isinstance(rows, list) else ()
            if not isinstance(rows, list) or len(rows) < _PAGE:
                return
