"""A main worktree whose git directory lies elsewhere: git reports the git directory as its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from git_planner.gitio.repository import open_repository
from tests.support.lab import GIT, Lab

POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
correctness: {run: [git, --version]}
"""


@pytest.fixture
def project(lab: Lab) -> Lab:
    """Make a repository with a policy."""
    lab.commit("policy", {".git-planner.yml": POLICY})
    return lab


def submodule(lab: Lab) -> Path:
    """Make the repository a submodule, and return its folder."""
    outer = lab.root / "outer"
    lab.run_program(GIT, "init", "-q", str(outer))
    lab.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(lab.path), "inner", cwd=outer)
    return outer / "inner"


def separate(lab: Lab) -> Path:
    """Move the git directory out of the worktree."""
    lab.git("init", "-q", "--separate-git-dir", str(lab.root / "elsewhere.git"))
    return lab.path


@pytest.mark.parametrize("make", [submodule, separate])
def test_a_plan_checked_out_there_moves_with_its_files(project: Lab, make: Callable[[Lab], Path]) -> None:
    lab, place = project, make(project)
    assert lab.run("git-plan", "task", "add", "one", cwd=place).status == 0
    lab.git("switch", "-q", "plan/default", cwd=place)
    ran = lab.run("git-plan", "task", "add", "two", cwd=place)
    assert (ran.status, ran.err) == (0, "")
    assert lab.git("status", "--porcelain", cwd=place) == ""
    assert '"two"' in (place / ".plans/default/plan.json").read_text()
    assert "worktree-" not in lab.run("git-planner", "doctor", cwd=place).err


@pytest.mark.parametrize("make", [submodule, separate])
def test_a_linked_worktree_moves_the_files_of_the_main_one_or_names_the_way(
    project: Lab, make: Callable[[Lab], Path]
) -> None:
    lab, place = project, make(project)
    lab.run("git-plan", "task", "add", "one", cwd=place)
    lab.git("switch", "-q", "plan/default", cwd=place)
    lab.git("worktree", "add", "-q", str(lab.root / "linked"), "-b", "side", cwd=place)
    ran = lab.run("git-plan", "task", "add", "two", cwd=lab.root / "linked")
    message = "is checked out in the main worktree of '{}', and git does not know its folder (E_WORKTREE)"
    expected = message.format(lab.root / "elsewhere.git")
    # A submodule's git knows the folder of its main worktree.
    refusal = f"error: 'refs/heads/plan/default' {expected}\nhint: run the command in that folder\n"
    assert ran.err == ("" if make is submodule else refusal)
    assert lab.git("status", "--porcelain", cwd=place) == ""


def test_the_head_of_a_bare_repository_is_no_worktree(project: Lab) -> None:
    lab = project
    lab.run("git-plan", "task", "add", "one")
    bare = lab.root / "bare.git"
    lab.git("clone", "-q", "--bare", str(lab.path), str(bare))
    lab.git("symbolic-ref", "HEAD", "refs/heads/plan/default", cwd=bare)
    lab.git("worktree", "add", "-q", str(lab.root / "linked"), "main", cwd=bare)
    for place in (bare, lab.root / "linked"):
        ran = lab.run("git-plan", "task", "add", "two", cwd=place)
        assert (ran.status, ran.err) == (0, "")


@pytest.mark.parametrize("branch", ["main", "iter/0001-a.b", "with@sign", "über/ß", "a" * 200])
def test_the_branch_of_head_is_as_git_says_in_every_worktree(lab: Lab, branch: str) -> None:
    lab.git("checkout", "-q", "-B", branch)
    linked = lab.root / "linked"
    lab.git("worktree", "add", "-q", "-b", f"{branch}-linked", str(linked))
    assert open_repository(lab.path).head_branch() == branch
    assert open_repository(linked).head_branch() == f"{branch}-linked"
    lab.git("checkout", "-q", "--detach")
    assert open_repository(lab.path).head_branch() is None
    lab.git("checkout", "-q", "--orphan", f"{branch}-unborn")
    assert open_repository(lab.path).head_branch() == f"{branch}-unborn"
