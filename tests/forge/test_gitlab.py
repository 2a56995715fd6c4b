"""Merge requests through glab's documented command line, with a program that answers as GitLab does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.forge.choose import find_address, find_client
from git_planner.flows.forge.contract import ForgeClient
from git_planner.flows.forge.gitlab import GitLabClient
from git_planner.rules.forge.pull_request import RequestText
from tests.support.lab import Lab

TEXT = RequestText("review/x", "plan/default", "Make it smaller", "# Body\n", True, ("plan",), ("boss",))
PROJECT = "projects/group%2Fsub%2Fname"
REQUEST = {
    "iid": 7,
    "web_url": "https://gitlab.example.com/group/sub/name/-/merge_requests/7",
    "state": "opened",
    "title": "Draft: Make it smaller",
    "description": "# Body\n",
    "source_branch": "review/x",
    "target_branch": "plan/default",
    "source_project_id": 1,
    "target_project_id": 1,
    "sha": "a" * 40,
    "author": {"id": 1, "username": "author"},
}
PROGRAM = """\
#!{python}
import json, sys
folder = {folder!r}
words = sys.argv[1:]
if words[:2] == ["config", "get"]:
    print("token")
    sys.exit()
method, path = words[words.index("--method") + 1], words[-1]
body = json.loads(sys.stdin.read()) if "--input" in words else None
with open(folder + "/calls", "a") as file:
    file.write(json.dumps([words[0], method, path, body]) + "\\n")
answers = json.load(open(folder + "/answers.json"))
status, answer = answers.get(f"{{method}} {{path.partition('?')[0]}}", [404, {{"message": "404 Not found"}}])
print(f"HTTP/2.0 {{status}}\\nContent-Type: application/json\\n\\n" + json.dumps(answer))
sys.exit(status >= 400)
"""


def site(lab: Lab, answers: dict[str, Any]) -> ForgeClient:
    """Return the client of a project whose site gives these answers."""
    folder = lab.root / "site"
    folder.mkdir(exist_ok=True)
    (folder / "answers.json").write_text(json.dumps(answers))
    program = folder / "glab"
    program.write_text(PROGRAM.format(python=sys.executable, folder=str(folder)))
    program.chmod(0o755)
    lab.env["PATH"] = f"{folder}:{lab.env['PATH']}"
    lab.env["GIT_PLANNER_FORGE"] = "git@gitlab.example.com:group/sub/name.git"
    return _client(lab)


def _client(lab: Lab) -> ForgeClient:
    with lab.entered():
        address = find_address(lab.repo, "origin")
        assert address is not None
        client = find_client(lab.repo, address)
    assert isinstance(client, GitLabClient)
    return client


def calls(lab: Lab) -> list[Any]:
    """Return the calls: method, path and body."""
    return [json.loads(line)[1:] for line in Path(lab.root / "site/calls").read_text().splitlines()]


def test_a_merge_request_is_opened_found_and_updated(lab: Lab) -> None:
    requests = f"{PROJECT}/merge_requests"
    client = site(
        lab,
        {
            "GET users": [200, [{"id": 5, "username": "boss"}]],
            f"GET {requests}": [200, [{**REQUEST, "source_project_id": 9}, REQUEST]],
            f"POST {requests}": [201, REQUEST],
            f"PUT {requests}/7": [200, {**REQUEST, "state": "merged"}],
        },
    )
    with lab.entered():
        request, _ = client.open(TEXT)
        assert client.find("review/x") == request
        updated = client.update(request, TEXT)
    assert (request.number, request.state, request.title) == (7, "open", "Make it smaller")
    assert updated.state == "merged"
    posted = next(body for method, _, body in calls(lab) if method == "POST")
    assert posted == {
        "title": "Draft: Make it smaller",
        "description": "# Body\n",
        "source_branch": "review/x",
        "target_branch": "plan/default",
        "labels": "plan",
        "reviewer_ids": [5],
    }


def test_people_are_told_from_strangers_bots_and_the_site(lab: Lab) -> None:
    path = f"{PROJECT}/merge_requests/7"
    boss, eve = {"id": 5, "username": "boss"}, {"id": 6, "username": "eve"}
    notes = [
        {
            "id": 1,
            "author": boss,
            "body": "Not so",
            "created_at": "2026-11-30T10:00:00.000Z",
            "resolvable": True,
        },
        {"id": 2, "author": eve, "body": "Me too", "created_at": "2026-11-30T10:01:00.000Z"},
        {"id": 3, "author": boss, "body": "changed title", "system": True},
        {"id": 4, "author": {**boss, "bot": True}, "body": "report"},
        "rubbish",
    ]
    levels = {5: 30, 6: 20, 7: "rubbish"}
    members = [{"id": person, "access_level": level} for person, level in levels.items()]
    client = site(
        lab,
        {
            f"GET {PROJECT}/merge_requests": [200, [REQUEST]],
            f"GET {path}/notes": [200, notes],
            f"GET {path}/approvals": [200, {"approved_by": [{"user": boss}, None]}],
            f"GET {PROJECT}/members/all": [200, members],
        },
    )
    with lab.entered():
        request = client.find("review/x")
        assert request is not None
        comments = client.comments(request)
    assert [(row.author, row.decision, row.text, row.is_reviewer) for row in comments] == [
        ("boss", "approved", "", True),
        ("boss", "changes_requested", "Not so", True),
        ("eve", "comment", "Me too", False),
    ]


def test_a_project_that_is_not_there(lab: Lab) -> None:
    client = site(lab, {})
    with lab.entered(), pytest.raises(PlannerError) as caught:
        client.find("review/x")
    assert caught.value.message == (
        "'gitlab.example.com' has no repository 'group/sub/name' that the login of 'glab' may use (HTTP 404)"
    )
