"""Read from a CI job's environment which pull or merge request it is for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from git_planner.errors import PlannerError

Host = Literal["github", "gitlab"]
REMOTE = "refs/remotes/origin/"
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PROJECT = re.compile(r"[\w.-]+/[\w.-]+|\d+")


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """A pull or merge request, or an entry of a merge queue, as the hosting site reports it.

    `base` is a revision of the trusted branch, `tip` the newest commit; `head` and `target` are the names of
    their branches, which anybody may choose; `number` is None in a merge queue; `fork`: the branch is of
    another repository; `project` names this one for the site's API; `trunk` is its default branch.
    """

    base: str
    tip: str
    head: str
    target: str
    number: int | None
    fork: bool
    project: str
    trunk: str
    link: str


def from_github(environ: Mapping[str, str], event: Any) -> ChangeRequest:
    """Read the event of a GitHub workflow.

    Raises:
        PlannerError: E_USAGE when it is neither a pull request nor a merge queue's.
    """
    name = environ.get("GITHUB_EVENT_NAME", "")
    repository = _part(event, "repository")
    project = _text(repository, "full_name")
    link = "/".join((environ.get("GITHUB_SERVER_URL", ""), project, "actions/runs"))
    common = {
        "project": project if _PROJECT.fullmatch(project) else "",
        "trunk": _text(repository, "default_branch"),
        "link": f"{link}/{environ.get('GITHUB_RUN_ID', '')}",
    }
    if name == "pull_request":
        pull = _part(event, "pull_request")
        base, head = _part(pull, "base"), _part(pull, "head")
        number = pull.get("number")
        return ChangeRequest(
            base=_oid(base, "sha"),
            tip=_oid(head, "sha"),
            head=_text(head, "ref"),
            target=_text(base, "ref"),
            number=number if isinstance(number, int) else None,
            # The repository of a deleted fork is null.
            fork=_text(_part(head, "repo"), "full_name") != project,
            **common,
        )
    if name == "merge_group":
        group = _part(event, "merge_group")
        target = _text(group, "base_ref").removeprefix("refs/heads/")
        return ChangeRequest(
            _oid(group, "base_sha"), _oid(group, "head_sha"), "", target, None, False, **common
        )
    raise _no_request(f"the event is '{name[:40]}'", "run it on 'pull_request' and 'merge_group'")


def from_gitlab(environ: Mapping[str, str]) -> ChangeRequest:
    """Read the variables of a GitLab merge request's pipeline.

    Raises:
        PlannerError: E_USAGE in another pipeline.
    """
    number, target = (environ.get(f"CI_MERGE_REQUEST_{key}", "") for key in ("IID", "TARGET_BRANCH_NAME"))
    if not re.fullmatch(r"\d{1,18}", number) or not target:
        raise _no_request("this is no pipeline of a merge request", "give the job the rules of the template")
    project = environ.get("CI_MERGE_REQUEST_PROJECT_ID", "")
    return ChangeRequest(
        base=REMOTE + target,
        # In a pipeline for merged results, CI_COMMIT_SHA is a merge that GitLab made.
        tip=_oid(environ, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "CI_COMMIT_SHA"),
        head=environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", ""),
        target=target,
        number=int(number),
        fork=environ.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "") != project,
        project=project if _PROJECT.fullmatch(project) else "",
        trunk=environ.get("CI_DEFAULT_BRANCH", ""),
        link=environ.get("CI_PIPELINE_URL", ""),
    )


def _part(value: Any, key: str) -> Mapping[str, Any]:
    part = value.get(key) if isinstance(value, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    return text if isinstance(text, str) else ""


def _oid(value: Mapping[str, Any], *keys: str) -> str:
    """Return the first of some values that is there; it must be an object id, which is no option."""
    oid = next((text for key in keys if (text := _text(value, key))), "")
    if not _OID.fullmatch(oid):
        raise _no_request(f"'{keys[-1]}' names no commit", "update the workflow: git planner ci --write")
    return oid


def _no_request(why: str, hint: str) -> PlannerError:
    return PlannerError("E_USAGE", f"no pull or merge request to look at: {why}", hint=hint)
