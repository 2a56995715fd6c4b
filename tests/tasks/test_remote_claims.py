"""Claims of people where clones share a remote: one of many gets the task, and gives it back."""

from __future__ import annotations

import json

import pytest

from tests.support.lab import Lab, Ran
from tests.support.two_clones import page, share, two_clones

CLAIMS = "refs/planner/claims/default/"


def claim(lab: Lab, *argv: str) -> Ran:
    """Claim the first task."""
    return lab.run("git-plan", "task", "claim", "task_001", "--json", *argv)


def there(lab: Lab) -> list[str]:
    """The claims on the remote."""
    return [line.split("\t")[1] for line in lab.git("ls-remote", "origin", CLAIMS + "*").splitlines()]


@pytest.fixture
def clones(lab: Lab) -> tuple[Lab, Lab]:
    """Two clones whose settings name the remote that they share."""
    one, other, _ = two_clones(lab)
    for each, name in ((one, "one"), (other, "other")):
        each.git("config", "planner.remote", "origin")
        each.env["GIT_COMMITTER_NAME"] = name
    return one, other


def test_only_one_clone_gets_it(clones: tuple[Lab, Lab]) -> None:
    one, other = clones
    assert claim(one).status == 0
    assert there(one) == [CLAIMS + "task_001"]
    ran = claim(other)
    assert (ran.status, json.loads(ran.out)["code"]) == (3, "E_BUSY")
    assert page(other)["tasks"][0]["status"] == "in_progress"
    assert page(other)["tasks"][0]["owner"].startswith("one")


def test_it_is_given_back_when_the_plan_tells_the_end(clones: tuple[Lab, Lab]) -> None:
    one, other = clones
    assert claim(one).status == 0
    assert one.run("git-plan", "task", "release", "task_001").status == 0
    assert there(one) == [CLAIMS + "task_001"]
    assert share(one, "push").status == 0
    assert there(one) == []
    assert claim(other).status == 0
    assert page(other)["tasks"][0]["attempt"] == 2
    # Somebody else's claim is not given back by who had it before.
    assert share(one, "push").status == 0
    assert there(one) == [CLAIMS + "task_001"]


def test_a_claim_that_cannot_be_made_here_is_given_back(clones: tuple[Lab, Lab]) -> None:
    one, _ = clones
    assert one.run("git-plan", "task", "update", "task_001", "--after", "task_002").status == 0
    ran = claim(one)
    assert (ran.status, json.loads(ran.out)["code"]) == (3, "E_TRANSITION")
    assert there(one) == []


def test_a_clone_that_asks_no_remote_claims_here_alone(clones: tuple[Lab, Lab]) -> None:
    one, other = clones
    assert claim(one, "--no-remote").status == 0
    assert there(one) == []
    other.git("config", "--unset", "planner.remote")
    assert claim(other, "--remote", "origin").status == 0
    assert there(one) == [CLAIMS + "task_001"]


def test_killed_after_the_claim_was_made_there(clones: tuple[Lab, Lab]) -> None:
    one, other = clones
    call = 2
    while True:
        killed = one.spawn("git-plan", "task", "claim", "task_001", **one.crash_after(call, after=True))
        if killed.status == 0:
            break
        held = one.run_git("rev-parse", "-q", "--verify", CLAIMS + "task_001").status == 0
        if there(one) and not held:
            # Nobody else gets it until the next push from here gives it back.
            assert share(one, "push").status == 0
            assert there(one) == []
        elif held:
            break
        call += 3
    assert there(one) == [CLAIMS + "task_001"]
    assert json.loads(claim(other).out)["code"] == "E_BUSY"
    one.fsck()


def test_a_remote_that_is_not_there(clones: tuple[Lab, Lab]) -> None:
    one, _ = clones
    one.git("remote", "set-url", "origin", "/there/is/none")
    ran = claim(one)
    assert (ran.status, json.loads(ran.out)["code"]) == (4, "E_REMOTE")
    assert page(one)["tasks"][0]["status"] == "todo"
