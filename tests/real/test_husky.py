"""The real husky: its hooks still run on all branches, and the guard runs before them."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_planner.flows.hooks import install, uninstall
from tests.hooks.hooked_repository import ITERATION, guarded_lab, refusal
from tests.real.conftest import fetched
from tests.support.lab import Lab

pytestmark = pytest.mark.real


def test_husky_and_the_guard_both_run(lab: Lab) -> None:
    package = fetched("husky/node_modules/husky")
    script = Path(".husky/pre-commit")
    lab.commit("husky's script", {str(script): 'echo "husky on $(git symbolic-ref --short HEAD)"\n'})
    ran = lab.run_program("node", str(package / "bin.js"))
    assert (ran.status, lab.git("config", "core.hooksPath")) == (0, ".husky/_"), ran.err
    guarded_lab(lab, install=False)
    install.install_hooks(lab.repo)
    for branch in ("main", ITERATION):
        lab.git("checkout", "-q", branch)
        done = lab.run_git("commit", "-q", "--allow-empty", "-m", "x")
        assert (done.status, done.out + done.err) == (0, f"husky on {branch}\n")
    (lab.path / "tests/run.sh").write_text("#!/bin/sh\nexit 1\n")
    lab.git("add", "tests")
    done = lab.run_git("commit", "-m", "no")
    assert (done.status, done.err) == (1, refusal("changed: tests/run.sh"))
    lab.git("restore", "--staged", "--worktree", "tests")
    uninstall.uninstall_hooks(lab.repo)
    assert lab.git("config", "core.hooksPath") == ".husky/_"
    done = lab.run_git("commit", "-q", "--allow-empty", "-m", "x")
    assert (done.status, done.out + done.err) == (0, f"husky on {ITERATION}\n")
