"""The rule for reviews is that of the trusted base: no base that somebody names can switch it off."""

from __future__ import annotations

import json

from tests.support.lab import Lab
from tests.support.servers.hosting_site import answered_packet, hosted
from tests.support.workshop import POLICY, directive


def refused(lab: Lab, *words: str) -> str:
    """Run a command that has to be refused for want of an approval, and return its message."""
    ran = lab.run(*words)
    assert (ran.status, "(E_REVIEW)" in ran.err) == (3, True), f"{words}: {ran.status}\n{ran.out}{ran.err}"
    return ran.err


def later(lab: Lab, rule: str = "{directives: required, plans: required}") -> str:
    """Require reviews in a second commit of main; return the first one, which requires none."""
    hosted(lab, "{directives: off}")
    before = lab.git("rev-parse", "main")
    lab.commit("reviews are required", {".git-planner.yml": f"{POLICY}review: {rule}\n"})
    lab.git("push", "-q", "origin", "main")
    lab.git("fetch", "-q")
    return before


def test_an_older_base_needs_an_approval_too(lab: Lab) -> None:
    before = later(lab)
    refused(lab, "git-iterate", "--from", before)
    refused(lab, "git-iterate", "resume", "1")
    refused(lab, "git-plan", "delegate", "--task", "task_001", "--from", before)


def test_a_packet_cannot_choose_a_base_without_the_rule(lab: Lab) -> None:
    before = later(lab)
    packet = answered_packet(lab, directive())
    path = "planner_packets/packet.json"
    document = json.loads(lab.show(f"{packet}:{path}"))
    document |= {"base": before, "base_ref": before}
    lab.rival(f"refs/heads/{packet}", path, json.dumps(document))
    refused(lab, "git-plan", "manual", "apply")
    assert lab.run("git-plan", "review", packet, "--exit-code").status == 1


def test_the_reviewers_are_those_of_today(lab: Lab) -> None:
    hosted(lab, "{directives: required, reviewers: [eve@example.org]}")
    before = lab.git("rev-parse", "main")
    rule = "{directives: required, reviewers: [ann@example.org]}"
    lab.commit("Eve has left", {".git-planner.yml": f"{POLICY}review: {rule}\n"})
    lab.git("push", "-q", "origin", "main")
    assert "asked: ann@example.org\n" in refused(lab, "git-iterate", "--from", before)


def test_a_local_base_that_is_behind_does_not_count_alone(lab: Lab) -> None:
    before = later(lab)
    lab.git("update-ref", "refs/heads/main", before)
    lab.git("reset", "-q", "--hard")
    refused(lab, "git-iterate")
