"""Taking a worktree away touches that one only, whatever other worktrees are not there just now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.iterations.iterate import Options, iterate
from git_planner.flows.iterations.prune import prune
from git_planner.flows.iterations.resume import resume
from git_planner.gitio import worktree
from tests.support.lab import Lab
from tests.support.small_campaign import agent, attempt, campaign, hush


def pruned(lab: Lab) -> None:
    """An iteration, and its worktree removed."""
    attempt(lab, "echo 90 >value")
    assert [each.why for each in prune(lab.repo, hush, dry_run=False).places] == [None]


def resumed(lab: Lab) -> None:
    """An iteration gone on with whose worktree somebody has deleted."""
    policy = (lab.path / ".git-planner.yml").read_text()
    lab.commit("a broken agent", {".git-planner.yml": policy.replace("[sh,", "[no-such-program,")})
    with pytest.raises(PlannerError):
        iterate(lab.repo, Options(slug="x"), hush)
    (lab.root / "repo.iter" / "0001-x").rename(lab.root / "deleted")
    with pytest.raises(PlannerError) as caught:
        resume(lab.repo, 1, Options(), hush)
    assert caught.value.code == "E_MISSING_TOOL", caught.value
    assert (lab.root / "repo.iter" / "0001-x").is_dir()


@pytest.mark.parametrize("act", [pruned, resumed])
def test_a_worktree_on_a_disk_that_is_not_there_keeps_its_index(lab: Lab, act: Callable[[Lab], None]) -> None:
    campaign(lab)
    agent(lab, "echo 90 >value")
    lab.git("branch", "mine")
    place = lab.worktree("mine", "mine")
    (place / "staged").write_text("a person's\n")
    lab.git("add", "staged", cwd=place)
    away = place.rename(lab.root / "away")
    act(lab)
    away.rename(place)
    assert lab.git("status", "--porcelain", "--branch", cwd=place).splitlines() == ["## mine", "A  staged"]


def test_a_locked_one_stays_with_all_that_is_in_it(lab: Lab) -> None:
    lab.git("branch", "other")
    place = lab.worktree("other", "other")
    (place / "new").write_text("new\n")
    lab.git("worktree", "lock", str(place))
    with pytest.raises(PlannerError) as caught:
        worktree.remove(lab.repo, place)
    assert (caught.value.code, "locked" in caught.value.message) == ("E_GIT", True)
    assert (place / "new").read_text() == "new\n"
    lab.git("worktree", "unlock", str(place))
    worktree.remove(lab.repo, place)
    assert not place.exists()
    assert [each.path for each in worktree.listing(lab.repo)] == [Path(lab.path)]
