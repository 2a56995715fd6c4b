"""Listings of refs that miss one which exists: git reads a folder while another process writes there."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from git_planner.flows.guard.base_branch import branch_tips, find_branch_tip
from git_planner.flows.planning.list_iterations import list_iterations
from git_planner.flows.plans.base_commit import taken_numbers
from git_planner.flows.plans.list_plans import list_plans, packet_branches
from git_planner.flows.records.ledger import plan_names
from git_planner.flows.tasks.follow_branch import read_branches
from git_planner.gitio import git, history
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Store
from git_planner.rules import refnames
from tests.support.lab import GIT, Lab

PLAN = refnames.plan_ref("default")
POLICY = {".git-planner.yml": "schema: git-planner/policy@1\ncorrectness: {run: [x]}\n"}
# The first listing of these refs finds nothing.
BLINKING = """\
#!/bin/sh
case "$*" in
*for-each-ref*{refs}*)
	if mkdir "{once}" 2>/dev/null; then {also}exit 0; fi ;;
esac
exec "{git}" "$@"
"""


@pytest.fixture
def planned(lab: Lab) -> Lab:
    """Return a laboratory with a plan of one task."""
    lab.commit("policy", POLICY)
    assert lab.run("git-plan", "task", "add", "one").status == 0
    return lab


def blinking_path(lab: Lab, refs: str, also: str = "") -> str:
    """Return a PATH with a git whose first listing of these refs finds nothing, and runs a command."""
    folder = lab.root / "bin"
    folder.mkdir()
    for place, _, _ in os.walk(lab.path / ".git/refs"):
        # Changed just now, however long the next process takes to start.
        os.utime(place, (time.time() + 3600,) * 2)
    script = folder / "git"
    script.write_text(BLINKING.format(refs=refs, once=once(lab), also=also, git=GIT))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{lab.env['PATH']}"


def once(lab: Lab) -> Path:
    """Return the folder that exists once a listing has missed refs."""
    return lab.root / "once"


def test_a_plan_is_there_though_a_listing_misses_it(planned: Lab) -> None:
    path = blinking_path(planned, PLAN)
    ran = planned.spawn("git-plan", "task", "update", "task_001", "--title", "two", PATH=path)
    assert (ran.status, once(planned).exists()) == (0, True), ran.err
    assert "two" in planned.run("git-plan", "task", "list").out


def test_a_push_pushes_a_plan_that_a_listing_misses(planned: Lab) -> None:
    planned.git("init", "-q", "--bare", str(planned.root / "remote.git"))
    planned.git("remote", "add", "origin", str(planned.root / "remote.git"))
    path = blinking_path(planned, refnames.HEADS)
    ran = planned.spawn("git-plan", "push", "origin", "--all", PATH=path)
    assert (ran.status, once(planned).exists()) == (0, True), ran.err
    assert PLAN in planned.git("ls-remote", "origin")


LISTERS: dict[str, Callable[[Repository], Any]] = {
    "list_refs": lambda repo: history.list_refs(repo, refnames.HEADS),
    "Store.numbers": lambda repo: Store(repo).numbers(refnames.HEADS),
    "read_branches": lambda repo: read_branches(repo, {"base_ref": "main"}),
    "taken_numbers": lambda repo: taken_numbers(repo, refnames.PLAN),
    "list_plans": list_plans,
    "packet_branches": packet_branches,
    "plan_names": plan_names,
    "list_iterations": list_iterations,
}


@pytest.mark.parametrize("lister", LISTERS)
def test_no_lister_misses_a_ref(lister: str, planned: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    planned.git("branch", f"{refnames.PLAN}0007-packet")
    planned.git("update-ref", f"{refnames.NUMBERS}0003", "HEAD")
    expected = LISTERS[lister](planned.repo)
    assert expected
    monkeypatch.setenv("PATH", blinking_path(planned, ""))
    assert LISTERS[lister](planned.repo) == expected
    assert once(planned).exists()


def test_quiet_folders_are_listed_once(planned: Lab) -> None:
    repo = planned.repo
    _age(planned)
    before = git.spawned
    assert history.list_refs(repo, refnames.HEADS).keys() == {PLAN, "refs/heads/main"}
    assert git.spawned == before + 1


def test_folders_that_change_meanwhile_are_listed_again(
    planned: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = history.list_refs(planned.repo, refnames.HEADS)
    _age(planned)
    change = f'touch "{planned.path / ".git/refs/heads/plan"}"; '
    monkeypatch.setenv("PATH", blinking_path(planned, "", change))
    assert history.list_refs(planned.repo, refnames.HEADS) == expected
    assert once(planned).exists()


def _age(lab: Lab) -> None:
    for folder, _, _ in os.walk(lab.path / ".git" / "refs"):
        os.utime(folder, (1, 1))


def test_branches_are_asked_for_by_name(planned: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    tip = planned.git("rev-parse", "main")
    monkeypatch.setenv("PATH", blinking_path(planned, ""))
    assert (find_branch_tip(planned.repo, "main"), branch_tips(planned.repo, "main")) == (tip, [tip])
    assert find_branch_tip(planned.repo, "missing") is None
    assert history.resolve_refs(planned.repo.git) == {}
    assert not once(planned).exists()
