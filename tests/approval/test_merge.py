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
