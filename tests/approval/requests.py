"""Requests for approvals, as `git plan review --open` makes them."""

from __future__ import annotations

from git_planner.config.policy_file import policy_at
from git_planner.flows.approval.request import ApprovalRequest, make_request
from git_planner.flows.iterations.status import look_up_iteration
from git_planner.flows.planning.list_iterations import list_iterations
from git_planner.flows.planning.manual import find_packet, packet_subject, read_answer
from git_planner.rules.approval.subject import ReviewSubject, state_subject
from tests.support.lab import Lab
from tests.support.servers.hosting_site import HostingSite
from tests.support.small_campaign import hush


def subject_of(lab: Lab, name: str, base: str | None = None) -> ReviewSubject:
    """Return the subject of a packet's branch or of an iteration."""
    repo = lab.repo
    if name.startswith("plan/"):
        pending = find_packet(repo, name)
        directive = read_answer(pending.answer or b"", name, pending.packet)
        return packet_subject(pending, directive, base or pending.packet["base"])
    iteration = look_up_iteration(repo, name, list_iterations(repo))
    assert iteration.state is not None
    assert iteration.start is not None
    return state_subject(iteration.state, iteration.start)


def request(
    site: HostingSite, name: str, *, lab: Lab | None = None, base: str | None = None
) -> ApprovalRequest:
    """Push the branch that proposes to approve a directive."""
    lab = lab or site.lab
    with lab.entered():
        repo = lab.repo
        proposal = make_request(repo, policy_at(repo, "main"), subject_of(lab, name, base), hush)
    site.push(f"+{proposal.ref}", lab=lab)
    return proposal
