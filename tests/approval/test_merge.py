"""Approval by merge: what a hosting site merged into the plan's branch may run, and nothing else."""

from __future__ import annotations

import json

import pytest

from tests.approval.requests import request
from tests.support.lab import Lab
from tests.support.servers.hosting_site import MERGES, Merge, answered_packet, hosted
from tests.support.workshop import directive


@pytest.mark.parametrize("how", MERGES)
def test_a_directive_runs_once_it_was_merged(lab: Lab, how: Merge) -> None:
    site = hosted(lab)
    packet = answered_packet(lab, directive())
    proposal = request(site, packet)
    refused = lab.run("git-plan", "manual", "apply")
    assert (refused.status, refused.out) == (3, "")
    assert refused.err == (
        f"error: the directive '{packet}' has no approval (E_REVIEW)\n"
        "  asked: everyone who may merge into 'plan/default' on 'origin'\n"
        f"hint: git plan review {packet} --open\n"
    )
    assert "refs/heads/iter/0001-auto" not in lab.refs()
    site.merge(proposal.branch, how)
    # The remote is asked, since nothing fetched it.
    assert lab.run("git-plan", "manual", "apply").status == 0
    assert lab.run("git-iterate", "resume", "1").status == 0


def test_an_iteration_waits_for_its_approval_and_is_resumed(lab: Lab) -> None:
    site = hosted(lab)
    refused = lab.run("git-iterate", "--json")
    assert refused.status == 3
    document = json.loads(refused.out)
    assert document["code"] == "E_REVIEW"
    assert document["details"][-1] == "once it is approved: git iterate resume 1"
    assert lab.run("git-iterate", "resume", "1").status == 3
    site.merge(request(site, "iter/0001-auto").branch, "github squash")
    lab.git("fetch", "-q")
    ran = lab.run("git-iterate", "resume", "1")
    assert ran.status == 0, ran.err


def test_work_on_a_directive_that_nobody_approved_is_not_measured(lab: Lab) -> None:
    site = hosted(lab)
    assert lab.run("git-iterate").status == 3
    branch = "iter/0001-auto"
    proposal = request(site, branch)
    # As somebody would who carries it out by hand, or by another program.
    lab.git("switch", "-q", branch)
    lab.commit("smaller", {"src/size.txt": "50\n"})
    lab.git("switch", "-q", "main")
    for words in (("git-record", branch), ("git-iterate", "resume", "1")):
        refused = lab.run(*words, "--json")
        assert (refused.status, json.loads(refused.out)["code"]) == (3, "E_REVIEW"), words
    assert lab.show(f"{branch}:src/size.txt") == "50\n"
    site.merge(proposal.branch)
    assert lab.run("git-record", branch).status == 0
    assert lab.git("rev-parse", "iter/best") == lab.git("rev-parse", branch)
    # What was recorded is told again, although its approval was taken back.
    site.git("update-ref", "refs/heads/plan/default", f"{site.git('rev-parse', 'plan/default')}^")
    lab.git("fetch", "-q")
    assert lab.run("git-record", branch).status == 0


def approval_names(lab: Lab, name: str) -> list[str]:
    """Return the approvals by merge on a branch."""
    return lab.git("ls-tree", "--name-only", f"{name}:.plans/default/approved", check=False).split()


def test_what_git_plan_push_brings_never_approves(lab: Lab) -> None:
    site = hosted(lab)
    packet = answered_packet(lab, directive())
    branch = request(site, packet).branch
    # As an agent would that can write the plan's branch: the approval is merged here instead of there.
    lab.git("checkout", "-q", "plan/default")
    lab.git("merge", "-q", "--no-ff", branch)
    assert len(approval_names(lab, "plan/default")) == 1
    lab.git("checkout", "-q", "main")
    assert lab.run("git-plan", "manual", "apply").status == 3
    pushed = lab.run("git-plan", "push")
    assert pushed.status == 0
    assert "is not pushed: 'origin' does not have it, and only a merge there approves" in pushed.err
    assert approval_names(lab, "plan/default") == []
    assert lab.run("git-plan", "manual", "apply").status == 3
    # The site takes that branch for merged, so there is a new commit for it.
    site.merge(request(site, packet).branch)
    assert lab.run("git-plan", "manual", "apply").status == 0
    # Now that the site has it, pushing keeps it.
    assert lab.run("git-plan", "push").status == 0
    assert len(approval_names(lab, "plan/default")) == 1
    assert lab.run("git-plan", "manual", "apply").status == 0
