"""`git plan inbox`: reviews that wait, each with the command that answers it."""

from __future__ import annotations

from tests.review.sites import opened, synced
from tests.support.lab import Lab
from tests.support.servers.hosting_site import HostingSite, answered_packet, hosted
from tests.support.workshop import directive, one_document


def test_a_packet_that_was_applied_waits_for_nothing(lab: Lab) -> None:
    hosted(lab, "{directives: off}")
    packet = answered_packet(lab, directive())

    def packets() -> list[str]:
        items = one_document(lab.run("git-plan", "inbox", "--json").out)["items"]
        return [item["subject"] for item in items if item["kind"] == "packet"]

    assert packets() == [packet]
    assert lab.run("git-plan", "manual", "apply", "--from", packet).status == 0
    assert packets() == []


def reviews(lab: Lab) -> list[tuple[str, str, str]]:
    """Return subject, text and command of the reviews in the inbox."""
    items = one_document(lab.run("git-plan", "inbox", "--json").out)["items"]
    return [(item["subject"], item["text"], item["command"]) for item in items if item["kind"] == "review"]


def request_changes(site: HostingSite, branch: str, text: str) -> None:
    """Request changes in a commit on the proposing branch."""
    tip = site.git("rev-parse", branch)
    message = f"{text}\n\nChanges-requested: Ann <ann@example.org>"
    new = site.git("commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", message)
    site.git("update-ref", f"refs/heads/{branch}", new)


def test_a_review_from_its_opening_to_its_end(lab: Lab) -> None:
    site = hosted(lab)
    assert reviews(lab) == []
    packet = answered_packet(lab, directive())
    assert reviews(lab) == []
    head = opened(lab, packet)["head"]
    waits = (packet, "the approval of the directive is waited for", f"git plan review sync {packet}")
    assert reviews(lab) == [waits]
    assert reviews(lab) == [waits]
    request_changes(site, head, "Use another loop.")
    request_changes(site, head, "task_001: no tests.")
    synced(lab, packet)
    assert reviews(lab) == [(packet, "Ann requested changes: Use another loop.", f"git plan review {packet}")]
    site.merge(head)
    lab.git("fetch", "-q")
    approved = "the directive is approved and has not run"
    assert reviews(lab) == [(packet, approved, f"git plan manual apply --from {packet}")]
    assert lab.run("git-plan", "manual", "apply").status == 0
    assert reviews(lab) == [(packet, approved, "git iterate resume 1")]
    assert lab.run("git-iterate", "resume", "1").status == 0
    assert reviews(lab) == []


def test_a_branch_of_a_person_with_such_a_name(lab: Lab) -> None:
    hosted(lab)
    lab.git("branch", "review/mine")
    assert reviews(lab) == []


def test_an_iteration_that_waits_is_not_called_interrupted(lab: Lab) -> None:
    hosted(lab)
    assert lab.run("git-plan", "offline").status == 0
    opened(lab)
    items = one_document(lab.run("git-plan", "inbox", "--json").out)["items"]
    assert [(item["kind"], item["command"]) for item in items] == [
        ("review", "git plan review sync iter/0001-auto")
    ]
