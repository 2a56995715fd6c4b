"""A loop that plans ahead, asks for approvals, and runs what people have approved."""

from __future__ import annotations

import json
import signal

import pytest

from git_planner.flows.iterations.iterate import IterateOptions, LoopOptions, LoopResult, loop
from git_planner.flows.iterations.unfinished.reviewed_loop import ReviewedAttempts, ReviewWait
from git_planner.flows.review.forge.open_request import open_review
from git_planner.flows.review.forge.sync import sync_review
from tests.support.lab import Lab
from tests.support.servers.hosting_site import TARGET, HostingSite, hosted
from tests.support.small_campaign import hush
from tests.support.waiting import wait_until

RULE = "{directives: required, queue: 2}"


def reviewed_loop(site: HostingSite, decisions: dict[str, str], count: int) -> tuple[LoopResult, list[str]]:
    """Run a loop while people decide on each directive as soon as they are asked."""
    asked: list[str] = []
    with site.lab.entered():
        repo = site.lab.repo

        def open_(branch: str) -> None:
            head = open_review(repo, branch, hush).target.head
            asked.append(branch)
            if decisions.get(branch) == "approve":
                site.merge(head, "github squash")
            elif decisions.get(branch) == "changes":
                words = "Not like this\n\nChanges-requested: Ann Owner <ann@example.org>"
                tree = site.git("rev-parse", f"{head}^{{tree}}")
                new = site.git("commit-tree", tree, "-p", head, "-m", words)
                site.git("update-ref", f"refs/heads/{head}", new)

        def sync(branch: str) -> None:
            sync_review(repo, branch, hush)
            if decisions.get(branch) == "late" and len(asked) == 3:
                site.merge(f"review/{branch.removeprefix('iter/')}", "github squash")

        attempts = ReviewedAttempts(ReviewWait(open_, sync, seconds=60, pause=0.01, longest=0.02))
        options = LoopOptions(IterateOptions(), count=count)
        return loop(repo, options, hush, attempts), asked


def test_approved_directives_run_and_others_never(lab: Lab) -> None:
    site = hosted(lab, RULE)
    decisions = {"iter/0002-auto": "approve", "iter/0003-auto": "approve"}
    result, asked = reviewed_loop(site, decisions, 2)
    assert [attempt.state.branch for attempt in result.attempts] == ["iter/0002-auto", "iter/0003-auto"]
    # The first one waits all the time, and no more than two wait at once.
    assert asked == ["iter/0001-auto", "iter/0002-auto", "iter/0003-auto"]
    assert lab.git("log", "-1", "--format=%s", "iter/0001-auto").startswith("plan iter/0001-auto")


def test_a_review_says_that_the_best_has_moved_since(lab: Lab) -> None:
    site = hosted(lab, RULE)
    reviewed_loop(site, {"iter/0002-auto": "approve"}, 1)
    best = lab.git("rev-parse", "iter/best")
    assert best == lab.git("rev-parse", "iter/0002-auto")
    body = lab.run("git-plan", "review", "iter/0001-auto").out
    assert f"- **The best is `{best[:12]}` by now, which the base does not contain**: the result" in body
    assert "cannot become the best" not in lab.run("git-plan", "review", "iter/0002-auto").out
    site.merge("review/0001-auto")
    ran = lab.run("git-iterate", "resume", "1")
    assert ran.status == 0, ran.err
    assert lab.git("rev-parse", "iter/best") == best


def test_requested_changes_give_a_directive_up_and_stand_in_the_next_prompt(lab: Lab) -> None:
    site = hosted(lab, RULE)
    result, asked = reviewed_loop(site, {"iter/0001-auto": "changes", "iter/0002-auto": "approve"}, 1)
    assert asked == ["iter/0001-auto", "iter/0002-auto"]
    assert [attempt.state.branch for attempt in result.attempts] == ["iter/0002-auto"]
    first = json.loads(lab.run("git-iterate", "list", "--json").out)["iterations"][0]
    assert (first["branch"], first["reason"]) == ("iter/0001-auto", "abandoned")
    assert "requested changes" in lab.show("plan/default:planner_packets/0002/packet.json")


def test_without_patches_that_are_left_it_waits_for_what_is_planned(lab: Lab) -> None:
    site = hosted(lab, RULE)
    decisions = {"iter/0001-auto": "late", "iter/0002-auto": "approve", "iter/0003-auto": "approve"}
    result, asked = reviewed_loop(site, decisions, 3)
    assert asked == ["iter/0001-auto", "iter/0002-auto", "iter/0003-auto"]
    assert [attempt.state.branch for attempt in result.attempts] == [
        "iter/0002-auto",
        "iter/0003-auto",
        "iter/0001-auto",
    ]
    assert result.stopped == "3 of 3 attempts are done"


def test_a_wait_ends_in_time_and_a_full_queue_plans_no_more(lab: Lab) -> None:
    hosted(lab, RULE)
    ran = lab.run("git-iterate", "--loop", "--wait-review", "--max-wait", "0.01")
    assert ran.status == 3
    assert "no directive of plan 'default' was approved within 0.01 seconds (E_REVIEW)" in ran.err
    assert [ref for ref in lab.refs() if "heads/iter/0" in ref] == [
        "refs/heads/iter/0001-auto",
        "refs/heads/iter/0002-auto",
    ]
    ran = lab.run("git-iterate")
    assert ran.status == 3
    assert "2 directives of plan 'default' wait for an approval, as many as the policy allows" in ran.err
    assert "refs/heads/iter/0003-auto" not in lab.refs()


def test_a_loop_that_was_killed_goes_on_where_it_was(lab: Lab) -> None:
    site = hosted(lab, RULE)
    process = lab.start("git-iterate", "--loop", "--wait-review", "--max-attempts", "1")
    head = "refs/heads/review/0001-auto"
    wait_until(lambda: head in site.git("for-each-ref", "--format=%(refname)"))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    site.merge("review/0001-auto", into=TARGET)
    ran = lab.run("git-iterate", "--loop", "--wait-review", "--max-attempts", "1")
    assert ran.status == 0, ran.err
    assert "iter/0001-auto is approved" in ran.err


@pytest.mark.parametrize("argv", [("--wait-review",), ("--loop", "--max-wait", "5")])
def test_options_that_need_each_other(lab: Lab, argv: tuple[str, ...]) -> None:
    assert lab.run("git-iterate", *argv).status == 2
