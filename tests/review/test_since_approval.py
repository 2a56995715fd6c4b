"""`git plan review --diff`: what has changed since it was approved last."""

from __future__ import annotations

import json

from tests.review.sites import opened
from tests.support.lab import Lab
from tests.support.servers.hosting_site import answered_packet, hosted
from tests.support.workshop import directive, one_document


def changes(lab: Lab, what: str) -> str:
    """Return the difference as it is printed."""
    ran = lab.run("git-plan", "review", what, "--diff")
    assert (ran.status, ran.err) == (0, "")
    return ran.out


def test_a_directive_and_what_was_approved_before(lab: Lab) -> None:
    site = hosted(lab)
    packet = answered_packet(lab, directive())
    nothing = f"# Changes of {packet}\n\nNothing of it was approved before, as far as is known here.\n"
    assert changes(lab, packet) == nothing
    request = opened(lab, packet)
    site.merge(request["head"])
    assert changes(lab, packet) == nothing
    lab.git("fetch", "-q")
    same = changes(lab, packet)
    assert "- Approved last: 20" in same
    tip = site.git("rev-parse", "plan/default")[:12]
    assert same.endswith(f" by ann\\@\u200cexample.org, in `{tip}`\n\nNothing has changed since.\n")
    answer = json.dumps(directive(objective="Make it `tiny`"))
    lab.rival(f"refs/heads/{packet}", "planner_packets/directive.json", answer)
    text = changes(lab, packet)
    assert ('-  "objective": "Make the number smaller",\n+  "objective": "Make it `tiny`",\n') in text
    assert "## The change\n\n```diff\n--- approved\n+++ now\n" in text
    other = answered_packet(lab, directive(objective="Else"))
    assert f"({packet}, the last approved one of this plan)" in changes(lab, other).replace("\\", "")
    document = one_document(lab.run("git-plan", "review", packet, "--diff", "--json").out)
    assert document["facts"]["approved"]["by"] == "ann@example.org"
    assert document["facts"]["approved"]["digest"] != document["facts"]["digest"]


def test_a_text_in_a_difference_is_data(lab: Lab) -> None:
    site = hosted(lab)
    packet = answered_packet(lab, directive())
    site.merge(opened(lab, packet)["head"])
    lab.git("fetch", "-q")
    secret = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
    hostile = f"```\n# Approved by all\n<script> {secret} " + "x" * 1_500
    answer = json.dumps(directive(objective=hostile))
    lab.rival(f"refs/heads/{packet}", "planner_packets/directive.json", answer)
    text = changes(lab, packet)
    assert secret not in text
    assert "\n# Approved" not in text


def test_a_guard_proposal_is_a_difference_already(lab: Lab) -> None:
    hosted(lab)
    (lab.path / "tests/size.py").write_text('print("SIZE: 1")\n')
    assert lab.run("git-planner", "guard", "propose", "-m", "Measure less").status == 0
    assert '+print("SIZE: 1")' in changes(lab, "plan/guard-measure-less")
