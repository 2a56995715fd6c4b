"""Claims of people in clones that share a remote: one of many acquires the claim, then releases it."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.lab import Lab, Ran
from tests.support.two_clones import page, share, two_clones

CLAIMS = "refs/planner/claims/default/"


def claim_first_task(lab: Lab, *argv: str) -> Ran:
    """Claim the first task."""
    return lab.run("git-plan", "task", "claim", "task_001", "--json", *argv)


def remote_claims(lab: Lab) -> list[str]:
    """Return the claim refs on the remote."""
    return [line.split("\t")[1] for line in lab.git("ls-remote", "origin", CLAIMS + "*").splitlines()]


@pytest.fixture
def clones(lab: Lab) -> tuple[Lab, Lab]:
    """Make two clones whose settings name their shared remote."""
    one, other, _ = two_clones(lab)
    for clone, name in ((one, "one"), (other, "other")):
        clone.git("config", "planner.remote", "origin")
        clone.env["GIT_COMMITTER_NAME"] = name
    return one, other


def test_only_one_clone_acquires_the_claim(clones: tuple[Lab, Lab]) -> None:
    one, other = clones
    assert claim_first_task(one).status == 0
    assert remote_claims(one) == [CLAIMS + "task_001"]
    ran = claim_first_task(other)
    assert (ran.status, json.loads(ran.out)["code"]) == (3, "E_BUSY")
    assert re.search(r"'task_001' is claimed by 'one .*' on '.+' since .*, as 'origin' says", ran.out)
    assert page(other)["tasks"][0]["status"] == "in_progress"
    assert page(other)["tasks"][0]["owner"].startswith("one")


def test_a_claim_is_released_when_the_pushed_plan_ends_it(clones: tuple[Lab, Lab]) -> None:
    one, other = clones
    assert claim_first_task(one).status == 0
    assert one.run("git-plan", "task", "release", "task_001").status == 0
    assert remote_claims(one) == [CLAIMS + "task_001"]
    assert share(one, "push").status == 0
    assert remote_claims(one) == []
    assert claim_first_task(other).status == 0
    assert page(other)["tasks"][0]["attempt"] == 2
    # The earlier holder does not release the claim of another.
    assert share(one, "push").status == 0
    assert remote_claims(one) == [CLAIMS + "task_001"]


def test_a_claim_that_fails_locally_is_released(clones: tuple[Lab, Lab]) -> None:
    one, _ = clones
    assert one.run("git-plan", "task", "update", "task_001", "--after", "task_002").status == 0
    ran = claim_first_task(one)
    assert (ran.status, json.loads(ran.out)["code"]) == (3, "E_TRANSITION")
    assert remote_claims(one) == []


def test_without_a_remote_a_claim_is_local(clones: tuple[Lab, Lab]) -> None:
    one, other = clones
    assert claim_first_task(one, "--no-remote").status == 0
    assert remote_claims(one) == []
    other.git("config", "--unset", "planner.remote")
    assert claim_first_task(other, "--remote", "origin").status == 0
    assert remote_claims(one) == [CLAIMS + "task_001"]


def test_killed_after_the_remote_claim(clones: tuple[Lab, Lab]) -> None:
    one, other = clones
    call = 2
    while True:
        killed = one.spawn("git-plan", "task", "claim", "task_001", **one.crash_after(call, after=True))
        if killed.status == 0:
            break
        is_claimed = one.run_git("rev-parse", "-q", "--verify", CLAIMS + "task_001").status == 0
        if remote_claims(one) and not is_claimed:
            # The next push from this clone releases it.
            assert share(one, "push").status == 0
            assert remote_claims(one) == []
        elif is_claimed:
            break
        call += 3
    assert remote_claims(one) == [CLAIMS + "task_001"]
    assert json.loads(claim_first_task(other).out)["code"] == "E_BUSY"
    one.fsck()


def test_an_unreachable_remote(clones: tuple[Lab, Lab]) -> None:
    one, _ = clones
    one.git("remote", "set-url", "origin", "/there/is/none")
    ran = claim_first_task(one)
    assert (ran.status, json.loads(ran.out)["code"]) == (4, "E_REMOTE")
    assert page(one)["tasks"][0]["status"] == "todo"
