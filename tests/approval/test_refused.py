"""Approvals that do not count: changed, taken back, of another base, plan, remote or person."""

from __future__ import annotations

import json

import pytest

from tests.approval.requests import request
from tests.support.lab import Lab
from tests.support.servers.hosting_site import AUTHOR, OWNER, TARGET, Merge, answered_packet, hosted
from tests.support.workshop import directive

OTHERS = "{directives: required, others: true}"
LISTED = "{directives: required, reviewers: [ann@example.org]}"


def refusal(lab: Lab) -> str:
    """Return why the newest packet's answer may not run, after what git has fetched."""
    lab.git("fetch", "-q", "--prune")
    before = lab.refs()
    ran = lab.run("git-plan", "manual", "apply", "--json")
    assert ran.status == 3, ran.out
    assert lab.refs() == before
    document = json.loads(ran.out)
    assert document["code"] == "E_REVIEW"
    return str(document["message"])


def test_one_byte_changed_after_the_approval(lab: Lab) -> None:
    site = hosted(lab)
    packet = answered_packet(lab, directive())
    site.merge(request(site, packet).branch)
    path = "planner_packets/directive.json"
    lab.rival(f"refs/heads/{packet}", path, lab.show(f"{packet}:{path}").replace("smaller", "smallar", 1))
    assert refusal(lab) == (f"the directive '{packet}' is not what was approved: it was changed since")
    # The same branch proposes the new one, and the old file goes nowhere.
    site.merge(request(site, packet).branch, "github squash")
    assert lab.run("git-plan", "manual", "apply").status == 0


def test_a_pull_request_that_was_edited_on_the_site(lab: Lab) -> None:
    site = hosted(lab)
    packet = answered_packet(lab, directive())
    proposal = request(site, packet)
    lab.rival(
        f"refs/heads/{proposal.branch}",
        proposal.path,
        lab.show(f"{proposal.branch}:{proposal.path}").replace('"risk": "Low"', '"risk": "High"'),
    )
    site.push(proposal.branch)
    site.merge(proposal.branch)
    assert refusal(lab).endswith("is not what was approved: it was changed since")


def test_a_force_push_takes_an_approval_away(lab: Lab) -> None:
    site = hosted(lab)
    packet = answered_packet(lab, directive())
    before = site.git("rev-parse", TARGET)
    site.merge(request(site, packet).branch)
    lab.git("fetch", "-q")
    site.git("update-ref", TARGET, before)
    assert refusal(lab) == f"the directive '{packet}' has no approval"
    site.git("update-ref", "-d", TARGET)
    assert refusal(lab) == f"the directive '{packet}' has no approval"


def test_an_approval_for_another_base(lab: Lab) -> None:
    site = hosted(lab)
    packet = answered_packet(lab, directive())
    site.merge(request(site, packet).branch)
    lab.commit("outside of the scope", {"docs/page.md": "new\n"})
    moved = lab.run("git-plan", "manual", "apply", "--allow-stale-base")
    assert moved.status == 0, moved.err
    lab.commit("inside of the scope", {"src/size.txt": "99\n"})
    lab.git("fetch", "-q")
    before = lab.refs()
    moved = lab.run("git-plan", "manual", "apply", "--allow-stale-base")
    assert moved.status == 3
    assert "was approved for another base, whose files in its scope are not those of this one" in moved.err
    assert lab.refs() == before
    # The same answer is approved anew, on the base as it is now.
    site.merge(request(site, packet, base=lab.git("rev-parse", "main")).branch, "github squash")
    assert lab.run("git-plan", "manual", "apply", "--allow-stale-base").status == 0


def test_an_approval_of_another_plan_or_on_another_remote(lab: Lab) -> None:
    site = hosted(lab)
    packet = answered_packet(lab, directive())
    branch = request(site, packet).branch
    site.git("update-ref", "refs/heads/plan/other", TARGET)
    site.merge(branch, into="refs/heads/plan/other")
    assert refusal(lab) == f"the directive '{packet}' has no approval"
    # A fork has it merged, and is fetched from.
    fork = lab.root / "fork.git"
    lab.git("clone", "-q", "--bare", site.path, str(fork))
    lab.git(f"--git-dir={fork}", "update-ref", TARGET, "refs/heads/plan/other")
    lab.git("remote", "add", "fork", f"file://{fork}")
    lab.git("fetch", "-q", "fork")
    assert refusal(lab) == f"the directive '{packet}' has no approval"


def test_an_approval_that_another_person_changed_is_no_longer_the_reviewers(lab: Lab) -> None:
    site = hosted(lab, LISTED)
    packet = answered_packet(lab, directive())
    proposal = request(site, packet)
    site.merge(proposal.branch)
    lab.git("fetch", "-q")
    changed = lab.show(f"origin/plan/default:{proposal.path}").replace('"note": ""', '"note": "well"')
    lab.git("branch", "-q", "edited", "origin/plan/default")
    lab.rival("refs/heads/edited", proposal.path, changed)
    site.push("edited:plan/default")
    assert refusal(lab) == f"the directive '{packet}' is approved by nobody whom the policy names"


@pytest.mark.parametrize(
    ("rule", "how", "by", "text", "reason"),
    [
        (OTHERS, "merge", AUTHOR, "", "is approved by its author alone, and the policy wants another person"),
        (
            OTHERS,
            "github squash",
            OWNER,
            "",
            "is approved by its author alone, and the policy wants another person",
        ),
        (
            OTHERS,
            "fast-forward",
            OWNER,
            "",
            "is approved by its author alone, and the policy wants another person",
        ),
        (OTHERS, "github squash", OWNER, "\n\nReviewed-by: Ann <ann@example.org>", None),
        (OTHERS, "merge", OWNER, "", None),
        (OTHERS, "rebase", OWNER, "", None),
        (OTHERS, "gitlab squash", OWNER, "", None),
        (LISTED, "merge", ("Eve", "eve@example.org"), "", "is approved by nobody whom the policy names"),
        (LISTED, "merge", ("Eve", "eve@example.org"), "\n\nApproved-by: Ann O. <Ann@Example.org>", None),
        (LISTED, "rebase", OWNER, "", None),
    ],
)
def test_who_merged_counts_where_the_policy_says_so(
    lab: Lab, *, rule: str, how: Merge, by: tuple[str, str], text: str, reason: str | None
) -> None:
    # The committer of the laboratory is another person than the author of requests.
    lab.env["GIT_COMMITTER_NAME"], lab.env["GIT_COMMITTER_EMAIL"] = AUTHOR
    site = hosted(lab, rule)
    packet = answered_packet(lab, directive())
    site.merge(request(site, packet).branch, how, by=by, text=text)
    if reason is None:
        assert lab.run("git-plan", "manual", "apply").status == 0
    else:
        assert refusal(lab) == f"the directive '{packet}' {reason}"


def test_a_merge_stays_that_of_its_maker_below_merges_of_git_plan_pull(lab: Lab) -> None:
    lab.env["GIT_COMMITTER_NAME"], lab.env["GIT_COMMITTER_EMAIL"] = AUTHOR
    site = hosted(lab, OTHERS)
    packet = answered_packet(lab, directive())
    site.merge(request(site, packet).branch)
    # The author's own plan goes on, and its next push merges the site's branch.
    assert lab.run("git-plan", "task", "add", "Another").status == 0
    assert lab.run("git-plan", "push").status == 0
    assert len(site.git("rev-list", "--no-walk", "--parents", TARGET).split()) == 3
    assert lab.run("git-plan", "manual", "apply").status == 0


def test_a_remote_that_cannot_be_asked(lab: Lab) -> None:
    hosted(lab)
    answered_packet(lab, directive())
    lab.git("remote", "set-url", "origin", f"file://{lab.root}/nowhere")
    ran = lab.run("git-plan", "manual", "apply")
    assert ran.status == 3
    assert "cannot be checked: the remote 'origin' could not be read" in ran.err


def test_a_refusal_names_who_is_asked_and_where(lab: Lab) -> None:
    hosted(lab)
    packet = answered_packet(lab, directive())
    lab.git("config", "planner.forge", "https://git.example.com/owner/name")
    ran = lab.run("git-plan", "manual", "apply", "--json")
    number = packet.removeprefix("plan/")
    assert json.loads(ran.out)["details"][:2] == [
        "asked: everyone who may merge into 'plan/default' on 'origin'",
        f"link: https://git.example.com/owner/name/compare/plan%2Fdefault...review%2Fplan-{number}?expand=1",
    ]
