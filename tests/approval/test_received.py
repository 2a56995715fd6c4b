"""A server that requires approvals: pushes to its base and to plans under review."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from git_planner.flows.review.approving.received import check_received_push
from git_planner.gitio.repository import open_repository
from tests.approval.requests import request
from tests.support.lab import Lab
from tests.support.servers.hosting_site import HostingSite, answered_packet, hosted
from tests.support.workshop import directive

TEMPLATE = Path(__file__).parents[2] / "templates" / "server" / "pre-receive"


def server(lab: Lab, rule: str) -> HostingSite:
    """Return the site of a workshop, with the template as its hook."""
    site = hosted(lab, rule)
    hook = Path(site.path, "hooks", "pre-receive")
    hook.write_text(TEMPLATE.read_text())
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    return site


def push(lab: Lab, *refs: str) -> str:
    """Push with plain git; return what the server said, '' if it took the push."""
    ran = lab.run_git("push", "-q", "origin", *refs)
    return ran.err if ran.status else ""


@pytest.mark.skipif(os.name != "posix", reason="hooks are shell scripts")
def test_a_push_to_the_base_needs_approved_directives(lab: Lab) -> None:
    site = server(lab, "{directives: required}")
    packet = answered_packet(lab, directive())
    branch = request(site, packet).branch
    site.merge(branch)
    assert lab.run("git-plan", "manual", "apply").status == 0
    digest = lab.git("log", "-1", "--format=%(trailers:key=Planner-Directive,valueonly)", "iter/0001-auto")
    lab.commit(f"smaller\n\nPlanner-Directive: {'0' * 64}", {"src/size.txt": "90\n"})
    assert f"the directive {'0' * 12} of a commit has no approval on a plan's branch here" in push(
        lab, "main"
    )
    lab.git("commit", "-q", "--amend", "-m", f"smaller\n\nPlanner-Directive: {digest}")
    # An approval does not cover what else a commit names, and none is hidden by many commits after it.
    both = f"smaller\n\nPlanner-Directive: {digest}\nPlanner-Directive: {'0' * 64}"
    lab.git("commit", "-q", "--amend", "-m", both)
    assert f"the directive {'0' * 12} of a commit has no approval" in push(lab, "main")
    lab.git("commit", "-q", "--amend", "-m", f"smaller\n\nPlanner-Directive: {digest}")
    assert push(lab, "main:refs/heads/other") == ""
    lines = f"{site.git('rev-parse', 'main')} {lab.git('rev-parse', 'main')} refs/heads/main\n"
    with lab.entered(Path(site.path)):
        repo = open_repository(Path(site.path))
        assert check_received_push(repo, lines, most=1).ok
        (finding,) = check_received_push(repo, lines, most=0).findings
    assert finding.message == "more than 0 commits, whose approvals cannot all be checked"
    assert push(lab, "main") == ""
    # The work of people names no directive.
    lab.commit("by hand", {"src/size.txt": "80\n"})
    assert push(lab, "main") == ""


def test_a_push_to_the_base_needs_approved_tasks(lab: Lab) -> None:
    server(lab, "{plans: required}")
    lab.commit("task_001: smaller\n\nPlanner-Task: task_001\nPlanner-Plan: default", {"src/size.txt": "90\n"})
    assert "the task 'task_001' of plan 'default' has no approval" in push(lab, "main")
    lab.git("commit", "-q", "--amend", "-m", "x\n\nPlanner-Task: task_999\nPlanner-Plan: default")
    assert "the task 'task_999' of plan 'default' is not known here" in push(lab, "main")


def test_a_plan_under_review_only_grows(lab: Lab) -> None:
    server(lab, "{directives: required}")
    assert "'plan/default' would be removed, with its approvals" in push(lab, ":plan/default")
    lab.git("branch", "-q", "older", "plan/default^")
    assert "'plan/default' would lose commits" in push(lab, "+older:plan/default")
    assert lab.run("git-plan", "task", "add", "Another").status == 0
    assert lab.run("git-plan", "push").status == 0
    lab.git("push", "-q", "origin", "main:refs/heads/plan/0009-packet")
    assert push(lab, ":refs/heads/plan/0009-packet") == ""
