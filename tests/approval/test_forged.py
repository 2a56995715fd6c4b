"""Approvals that an agent invents: names in its own commits, files in its own branches."""

from __future__ import annotations

import pytest

from tests.approval.requests import request
from tests.support.lab import Lab
from tests.support.servers.hosting_site import AUTHOR, Merge, answered_packet, hosted
from tests.support.workshop import directive

OTHERS = "{directives: required, others: true}"
LISTED = "{directives: required, reviewers: [ann@example.org]}"
EVE = ("Eve", "eve@example.org")
TRAILER = "Reviewed-by: Ann <ann@example.org>"


@pytest.mark.parametrize("how", ["rebase", "fast-forward"])
@pytest.mark.parametrize("rule", [OTHERS, LISTED])
def test_a_trailer_that_the_author_wrote_is_no_review(lab: Lab, how: Merge, rule: str) -> None:
    lab.env["GIT_COMMITTER_NAME"], lab.env["GIT_COMMITTER_EMAIL"] = AUTHOR
    site = hosted(lab, rule)
    packet = answered_packet(lab, directive())
    proposal = request(site, packet)
    # The agent writes its request anew, with a review by somebody else in the message.
    message = f"review: approve by merging\n\n{TRAILER}"
    parent = lab.git("rev-parse", f"{proposal.commit}^")
    forged = lab.git("commit-tree", f"{proposal.commit}^{{tree}}", "-p", parent, "-m", message)
    site.push(f"+{forged}:{proposal.ref}")
    site.merge(proposal.branch, how, by=EVE if rule == LISTED else AUTHOR)
    ran = lab.run("git-plan", "manual", "apply")
    assert (ran.status, f"the directive '{packet}' is approved by " in ran.err) == (3, True), ran.err
