"""`git plan review --open`: the branch is pushed, and one pull request is opened with the real gh."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_planner.rules.forge.pull_request import BEGIN
from tests.review.sites import opened, reviewed_campaign
from tests.support.lab import Lab
from tests.support.servers.github import GitHubScript
from tests.support.servers.hosting_site import answered_packet, hosted
from tests.support.workshop import directive

needs_gh = pytest.mark.skipif(shutil.which("gh") is None, reason="gh is not installed")
HEAD = "review/plan-0001-auto"


@pytest.fixture
def script() -> GitHubScript:
    """Return an empty site."""
    return GitHubScript()


@pytest.fixture
def site(lab: Lab, script: GitHubScript, tmp_path: Path) -> Iterator[Lab]:
    """Run the site of a campaign whose directives need an approval."""
    owners = {".github/CODEOWNERS": "* @nobody\n/.plans/ @boss @acme/planners\n"}
    rule = "{directives: required, draft: true, labels: [plan]}"
    with reviewed_campaign(lab, script, tmp_path, rule, **owners):
        yield lab


@needs_gh
def test_one_pull_request_is_opened_updated_and_told_when_it_is_over(site: Lab, script: GitHubScript) -> None:
    packet = answered_packet(site, directive())
    before = site.refs()
    assert site.run("git-plan", "review", packet).status == 0
    assert (site.refs(), script.requests) == (before, [])
    first = opened(site, packet)
    assert (first["action"], first["head"], first["base"], first["number"], first["pushed"]) == (
        *("opened", HEAD, "plan/default"),
        *(1, True),
    )
    pull = script.pulls[0]
    assert (pull["title"], pull["draft"], pull["labels"], pull["reviewers"]) == (
        "Make the number smaller",
        True,
        ["plan"],
        ["boss", "planners"],
    )
    # What is approved now is not part of a text that stays.
    head, _, rest = site.run("git-plan", "review", packet).out.partition("## Approval\n")
    review = head + rest[rest.index("## ") :]
    assert pull["body"] == f"{BEGIN}\n{review.strip()}\n<!-- git-planner: end of review -->\n"
    remote = site.git("ls-remote", "origin", f"refs/heads/{HEAD}").split()[0]
    assert remote == first["commit"]
    again = opened(site, packet)
    assert (again["action"], again["pushed"]) == ("unchanged", False)
    # A person writes around the review; a changed answer updates the review alone.
    pull["body"] = f"- [x] seen\n\n{pull['body']}\nGood luck"
    site.rival(
        f"refs/heads/{packet}", "planner_packets/directive.json", json.dumps(directive(objective="Anew"))
    )
    changed = opened(site, packet)
    assert (changed["action"], changed["pushed"], len(script.pulls)) == ("updated", True, 1)
    assert pull["title"] == "Anew"
    assert pull["body"].startswith("- [x] seen\n\n<!--")
    assert pull["body"].endswith("Good luck")
    assert "**Anew**" in pull["body"]
    script.heads[HEAD] = changed["commit"]
    pull |= {"state": "closed", "merged_at": "2026-11-30T10:00:00Z"}
    ran = site.run("git-plan", "review", packet, "--open")
    assert (ran.status, ran.out) == (0, "merged #1: https://example.com/acme/widgets/pull/1\n")
    pull["merged_at"] = None
    assert opened(site, packet)["action"] == "closed"
    # Another answer to a closed pull request is a new one.
    site.rival(
        f"refs/heads/{packet}", "planner_packets/directive.json", json.dumps(directive(objective="New"))
    )
    assert (opened(site, packet)["number"], len(script.pulls)) == (2, 2)


@needs_gh
def test_the_same_command_goes_on_after_a_failure(site: Lab, script: GitHubScript) -> None:
    packet = answered_packet(site, directive())
    script.faults = [401]
    ran = site.run("git-plan", "review", packet, "--open")
    assert ran.status == 4
    assert "does not accept the login of 'gh' (HTTP 401) (E_FORGE)" in ran.err
    assert site.git("ls-remote", "origin", f"refs/heads/{HEAD}") == ""
    script.repository = "evil/fork"
    ran = site.run("git-plan", "review", packet, "--open")
    assert ran.status == 4
    assert f"  '{HEAD}' is on 'origin'; the same command goes on from there\n" in ran.err
    assert "  in a browser: https://localhost:" in ran.err
    script.repository = "acme/widgets"
    script.pulls.clear()
    assert (opened(site, packet)["action"], opened(site, packet)["action"]) == ("opened", "unchanged")


def test_without_a_client_it_prints_what_a_browser_needs(lab: Lab) -> None:
    hosted(lab)
    packet = answered_packet(lab, directive())
    lab.env["GIT_PLANNER_FORGE"] = "https://user:secret@gitea.example.com/acme/widgets.git"
    ran = lab.run("git-plan", "review", packet, "--open")
    assert ran.status == 0, ran.err
    link, _, title, _, body = ran.out.split("\n")[1:6]
    assert ran.out.startswith(f"open a pull request of '{HEAD}' into 'plan/default':\n")
    assert link.startswith("https://gitea.example.com/acme/widgets/compare/plan%2Fdefault...review%2F")
    assert "secret" not in ran.out + ran.err
    assert (title, body) == ("Make the number smaller", BEGIN)
    del lab.env["GIT_PLANNER_FORGE"]
    ran = lab.run("git-plan", "review", packet, "--open")
    assert ran.out.startswith(
        f"open a pull request of '{HEAD}' into 'plan/default' on your hosting site\n\nMake"
    )


def test_an_iteration_and_a_guard_proposal(lab: Lab) -> None:
    hosted(lab)
    assert lab.run("git-plan", "offline").status == 0
    document = opened(lab)
    assert (document["head"], document["base"]) == ("review/0001-auto", "plan/default")
    (lab.path / "tests/size.py").write_text('print("SIZE: 1")\n')
    assert lab.run("git-planner", "guard", "propose", "-m", "Measure less").status == 0
    document = opened(lab, "plan/guard-measure-less")
    assert (document["head"], document["base"]) == ("plan/guard-measure-less", "main")
    assert lab.git("ls-remote", "origin", "plan/guard-measure-less").split()[0] == document["commit"]


def test_what_cannot_be_opened(lab: Lab) -> None:
    hosted(lab)
    packet = answered_packet(lab, {})
    ran = lab.run("git-plan", "review", packet, "--open")
    assert ran.status == 2
    assert "has no answer that can be reviewed" in ran.err


def test_a_remote_without_the_plan_gets_it(lab: Lab) -> None:
    site = hosted(lab)
    site.git("update-ref", "-d", "refs/heads/plan/default")
    opened(lab, answered_packet(lab, directive()))
    assert site.git("rev-parse", "plan/default") == lab.git("rev-parse", "plan/default")


def test_two_clones_open_the_same_directive(lab: Lab) -> None:
    hosted(lab)
    packet = answered_packet(lab, directive())
    lab.git("push", "-q", "origin", packet)
    other = lab.clone("other")
    other.env |= {f"GIT_{role}_EMAIL": "other@example.com" for role in ("AUTHOR", "COMMITTER")}
    other.git("remote", "set-url", "origin", lab.git("remote", "get-url", "origin"))
    other.git("fetch", "-q", "origin")
    first, second = opened(lab, packet), opened(other, packet)
    assert (second["commit"], second["pushed"]) == (first["commit"], False)
    answer = json.dumps(directive(objective="Else"))
    other.git("branch", "-q", packet, f"origin/{packet}")
    other.rival(f"refs/heads/{packet}", "planner_packets/directive.json", answer)
    ran = other.run("git-plan", "review", packet, "--open")
    assert (ran.status, "has commits that are not here (E_CONFLICT)" in ran.err) == (5, True)


def test_a_plan_and_a_spec_go_to_the_branch_of_the_plan(lab: Lab) -> None:
    site = hosted(lab, "{plans: required, specs: required}")
    plan = opened(lab, "default")
    assert (plan["kind"], plan["head"], plan["base"]) == ("plan", "review/plan-default", "plan/default")
    site.merge(plan["head"])
    ran = lab.run("git-plan", "review", "default", "--exit-code")
    lab.git("fetch", "-q")
    assert (ran.status, lab.run("git-plan", "review", "default", "--exit-code").status) == (1, 0)
    assert lab.run("git-plan", "task", "add", "Another", "--plan", "default").status == 0
    difference = lab.run("git-plan", "review", "default", "--diff").out
    assert opened(lab, "default")["action"] == "link"
    assert "## New\n\n- task\\_002: Another\n" in difference


def test_a_kill_between_push_and_opening(lab: Lab) -> None:
    hosted(lab)
    packet = answered_packet(lab, directive())
    for calls in (3, 8, 13, 18):
        lab.spawn("git-plan", "review", packet, "--open", **lab.crash_after(calls))
    document = opened(lab, packet)
    assert lab.git("ls-remote", "origin", f"refs/heads/{HEAD}").split()[0] == document["commit"]
    assert opened(lab, packet)["pushed"] is False


def test_what_is_merged_already_is_not_opened_again(lab: Lab) -> None:
    site = hosted(lab)
    packet = answered_packet(lab, directive())
    head = opened(lab, packet)["head"]
    site.merge(head)
    before = site.git("rev-parse", head)
    ran = lab.run("git-plan", "review", packet, "--open")
    assert (ran.status, ran.out) == (0, "merged into 'plan/default'\n")
    assert ran.err == "note: 'plan/default' on 'origin' has its approval already; nothing was pushed\n"
    assert site.git("rev-parse", head) == before


@needs_gh
def test_two_at_once_open_one_pull_request(site: Lab, script: GitHubScript) -> None:
    packet = answered_packet(site, directive())
    runs = [site.start("git-plan", "review", packet, "--open") for _ in range(3)]
    assert [run.wait(120) for run in runs] == [0, 0, 0]
    assert len(script.pulls) == 1
