"""Tasks, options, tournaments and specs that need the approval of their plan or change."""

from __future__ import annotations

import json

from git_planner.config.policy_file import policy_at
from git_planner.flows.approval.request import make_request
from git_planner.flows.review.review import review
from git_planner.flows.review.subjects import find_subject
from tests.discovery.scripted_agents import markdown
from tests.specs.written_change import PROJECT, PROPOSAL, TASKS, write
from tests.support.lab import Lab
from tests.support.servers.hosting_site import TARGET, HostingSite, hosted
from tests.support.small_campaign import hush

RULE = "{plans: required, specs: required}"


def approve(site: HostingSite, what: str, into: str = TARGET) -> None:
    """Propose what a review shows, and merge it on the site."""
    lab = site.lab
    with lab.entered():
        repo = lab.repo
        _, subject = find_subject(repo, review(repo, what))
        proposal = make_request(repo, policy_at(repo, "main"), subject, hush)
    site.push(f"+{proposal.ref}")
    site.merge(proposal.branch, into=into)


def refusal(lab: Lab, *argv: str) -> str:
    """Return why a command is refused; it changes nothing."""
    before = lab.refs()
    ran = lab.run(*argv)
    assert ran.status == 3, ran.out + ran.err
    after = lab.refs()
    # What the remote has may have been fetched.
    assert {ref: oid for ref, oid in after.items() if "/remotes/" not in ref} == {
        ref: oid for ref, oid in before.items() if "/remotes/" not in ref
    }
    return next(line for line in ran.err.splitlines() if line.startswith("error: "))


def test_a_task_is_delegated_once_its_plan_was_approved_and_again_when_it_was_changed(lab: Lab) -> None:
    site = hosted(lab, RULE)
    delegate = ("git-plan", "delegate")
    assert refusal(lab, *delegate) == "error: the task 'task_001' has no approval (E_REVIEW)"
    assert refusal(lab, *delegate, "--task", "task_001").endswith("has no approval (E_REVIEW)")
    approve(site, "default")
    # What follows from the work does not matter, and a new task has none yet.
    assert lab.run("git-plan", "task", "add", "Another", "--write-scope", "src/x").status == 0
    assert lab.run("git-plan", "task", "update", "task_001", "--note", "look at the loop").status == 0
    ran = lab.run(*delegate, "--max-tasks", "2", "--json")
    document = json.loads(ran.out)
    assert [run["task"] for run in document["runs"]] == ["task_001"], ran.err
    assert [skip["task"] for skip in document["skipped"]] == ["task_002"]
    assert lab.run("git-plan", "task", "update", "task_001", "--title", "Grow it").status == 0
    assert "E_REVIEW" in lab.run(*delegate, "--task", "task_002").err


def test_a_changed_task_is_not_what_was_approved(lab: Lab) -> None:
    site = hosted(lab, RULE)
    approve(site, "default")
    assert lab.run("git-plan", "task", "update", "task_001", "--action", "remove the tests").status == 0
    assert refusal(lab, "git-plan", "delegate") == (
        "error: the task 'task_001' is not what was approved: it was changed since (E_REVIEW)"
    )


def test_a_tournament_and_a_choice_need_the_approved_plan(lab: Lab) -> None:
    site = hosted(lab, RULE)
    new = ("git-bo4", "new", "--prompt", "Make it smaller", "--best-of", "3")
    assert "the plan 'plan/default' has no approval" in refusal(lab, *new)
    (lab.root / "options.md").write_text(markdown())
    assert lab.run("git-plan", "options", "--file", str(lab.root / "options.md")).status == 0
    assert "the plan 'plan/default' has no approval" in refusal(lab, "git-plan", "choose", "A")
    approve(site, "default")
    assert lab.run("git-plan", "choose", "A").status == 0
    assert lab.run(*new).status == 0


def test_a_spec_is_compiled_once_it_was_approved(lab: Lab) -> None:
    site = hosted(lab, RULE)
    write(lab, project=PROJECT, proposal=PROPOSAL, tasks=TASKS)
    compile_ = ("git-plan", "spec", "compile", "shrink")
    assert refusal(lab, *compile_) == "error: the spec 'shrink' has no approval (E_REVIEW)"
    site.git("update-ref", "refs/heads/plan/shrink", "refs/heads/main")
    approve(site, "shrink", "refs/heads/plan/shrink")
    assert lab.run("git-plan", "pull", "origin", "--plan", "shrink").status == 0
    write(lab, tasks=TASKS.replace("Halve", "Double"))
    assert "is not what was approved: it was changed since" in refusal(lab, *compile_)
    write(lab, tasks=TASKS)
    ran = lab.run(*compile_)
    assert ran.status == 0, ran.err
