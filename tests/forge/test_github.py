"""The real gh against a loopback GitHub over TLS: pull requests, comments, and every bad answer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.forge.api_program import ApiProgram
from git_planner.flows.forge.choose import find_address, find_client
from git_planner.flows.forge.github import GitHubClient
from git_planner.rules.forge.pull_request import RequestText
from tests.support.lab import Lab
from tests.support.servers.github import REPOSITORY, GitHubScript, github_service

pytestmark = pytest.mark.skipif(shutil.which("gh") is None, reason="gh is not installed")
TEXT = RequestText(
    "review/0001-auto",
    "plan/default",
    "Make it smaller",
    "# Body\n",
    True,
    ("plan",),
    ("boss", "acme/core", "author"),
)


@pytest.fixture
def script() -> GitHubScript:
    """Return an empty site."""
    return GitHubScript()


@pytest.fixture
def site(lab: Lab, script: GitHubScript, tmp_path: Path) -> Iterator[Lab]:
    """Run the site; yield a laboratory whose programs use it."""
    lab.git("remote", "add", "origin", "git@github.com:other/repository.git")
    with github_service(script, tmp_path) as env:
        lab.env |= env
        with lab.entered():
            yield lab


def client(lab: Lab, seconds: float = 30.0) -> GitHubClient:
    """Return the client that is logged in at the site."""
    address = find_address(lab.repo, "origin")
    assert address is not None
    return GitHubClient(ApiProgram(lab.repo, "gh", address, seconds))


def test_a_pull_request_is_opened_found_and_updated(site: Lab, script: GitHubScript) -> None:
    address = find_address(site.repo, "origin")
    assert address is not None
    gh = find_client(site.repo, address)
    assert isinstance(gh, GitHubClient)
    assert gh.find(TEXT.head) is None
    opened, remarks = gh.open(TEXT)
    assert (opened.number, opened.state, opened.title, opened.body, list(remarks)) == (
        *(1, "open", "Make it smaller", "# Body\n"),
        [],
    )
    pull = script.pulls[0]
    assert (pull["draft"], pull["labels"], pull["reviewers"]) == (True, ["plan"], ["boss", "core"])
    assert gh.find(TEXT.head) == opened
    again, _ = gh.open(TEXT)
    assert again == opened
    assert len(script.pulls) == 1
    script.pulls[0] |= {"state": "closed", "merged_at": "2026-11-30T00:00:00Z"}
    merged = gh.find(TEXT.head)
    assert merged is not None
    assert merged.state == "merged"


def test_what_the_site_does_not_take_is_told(site: Lab, script: GitHubScript) -> None:
    script.refuses = ("/labels", "/requested_reviewers")
    _, remarks = client(site).open(TEXT)
    assert [remark.partition(":")[0] for remark in remarks] == [
        "labels were not set",
        "reviewers were not asked",
    ]


def test_people_are_told_from_strangers_and_bots(site: Lab, script: GitHubScript) -> None:
    request, _ = client(site).open(TEXT)
    script.add_comment("reviews", "boss", "Not so", state="CHANGES_REQUESTED")
    script.add_comment("lines", "helper", "Here", association="COLLABORATOR", path="a.txt", line=3)
    script.add_comment("comments", "stranger", "Me too", association="NONE")
    script.add_comment("comments", "ci", "Report", user={"login": "ci[bot]", "type": "Bot"})
    script.add_comment("reviews", "boss", "", state="PENDING")
    script.add_comment("reviews", "boss", "", state="APPROVED")
    comments = client(site).comments(request)
    assert [(row.author, row.decision, row.text, row.is_reviewer, row.place) for row in comments] == [
        ("boss", "changes_requested", "Not so", True, ""),
        ("helper", "comment", "Here", True, "a.txt:3"),
        ("stranger", "comment", "Me too", False, ""),
        ("boss", "approved", "", True, ""),
    ]


def test_lists_are_read_page_by_page(site: Lab, script: GitHubScript) -> None:
    request, _ = client(site).open(TEXT)
    for number in range(230):
        script.add_comment("comments", "boss", f"{number}")
    assert len(client(site).comments(request)) == 230


FAULTS = [
    (401, "'{host}' does not accept the login of 'gh' (HTTP 401)"),
    (403, "'{host}' does not allow it: not now ^[[31m (HTTP 403)"),
    ((403, {"x-ratelimit-remaining": "0"}), "'{host}' wants fewer requests (HTTP 403)"),
    (404, "'{host}' has no repository 'acme/widgets' that the login of 'gh' may use (HTTP 404)"),
    ((429, {"retry-after": "60"}), "'{host}' wants fewer requests (HTTP 429), for 60 s"),
    (500, "'{host}' cannot do it now (HTTP 500): not now ^[[31m"),
    (b"<html>", "'{host}' gave an answer that is not JSON"),
    (b"[" * 100_000, "'{host}' gave an answer that is not JSON"),
    (b'{"a": 1}', "'{host}' gave something else than a list"),
    (b'"' + b"x" * 9_000_000 + b'"', "'{host}' gave an answer of more than 8 MiB"),
]


def test_bad_answers_are_clear_sentences(site: Lab, script: GitHubScript) -> None:
    host = find_address(site.repo, "origin").host  # type: ignore[union-attr]
    for fault, sentence in FAULTS:
        script.faults = [fault]
        with pytest.raises(PlannerError) as caught:
            client(site).find(TEXT.head)
        assert (caught.value.code, caught.value.message) == ("E_FORGE", sentence.format(host=host))
        assert caught.value.hint


def test_a_site_that_does_not_answer_in_time(site: Lab, script: GitHubScript) -> None:
    script.faults = ["hang"]
    with pytest.raises(PlannerError) as caught:
        client(site, seconds=0.5).find(TEXT.head)
    assert caught.value.code == "E_DEADLINE"
    assert caught.value.message.endswith(" did not answer within 0.5 s")


def test_a_pull_request_of_another_repository_is_not_taken(site: Lab, script: GitHubScript) -> None:
    client(site).open(TEXT)
    script.repository = "evil/fork"
    assert client(site).find(TEXT.head) is None
    script.pulls[0]["state"] = "closed"
    with pytest.raises(PlannerError, match=f"that is not one of '{REPOSITORY}'"):
        client(site).open(TEXT)


def test_without_a_login_and_without_a_site(site: Lab, script: GitHubScript) -> None:
    address = find_address(site.repo, "origin")
    assert address is not None
    script.requests.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GH_ENTERPRISE_TOKEN")
        assert find_client(site.repo, address) is None
    assert script.requests == []
