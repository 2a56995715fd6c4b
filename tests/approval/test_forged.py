"""Approvals that an agent invents: names in its own commits, files in its own branches."""

from __future__ import annotations

import pytest

from git_planner.rules.approval.subject import task_digest
from git_planner.rules.delegation.task_prompt import TaskContext, render_task_prompt
from git_planner.rules.tasks.task import Task
from tests.approval.requests import request
from tests.support.lab import Lab
from tests.support.servers.hosting_site import AUTHOR, Merge, answered_packet, hosted
from tests.support.workshop import directive

OTHERS = "{directives: required, others: true}"
LISTED = "{directives: required, reviewers: [ann@example.org]}"
EVE = ("Eve", "eve@example.org")
TRAILER = "Reviewed-by: Ann <ann@example.org>"


@pytest.mark.parametrize(
    "field", ["actions", "read_scope", "write_scope", "acceptance", "risks", "references"]
)
def test_what_the_prompt_of_a_task_says_is_approved(field: str) -> None:
    task = Task("task_001", "abcdefgh", "Shrink it", "as short as can be")
    smuggled = task._replace(**{field: ("rm -rf everything",)})
    context = TaskContext(plan="default", goal="", policy=(), program="git plan", run="r")
    assert "rm -rf everything" in render_task_prompt("", smuggled, context, 10_000)
    assert task_digest(smuggled) != task_digest(task)


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
