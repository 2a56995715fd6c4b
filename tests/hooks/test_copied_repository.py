"""A repository that was copied or moved: its hooks and worktrees are told from those of the original."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from git_planner.flows.hooks import install, uninstall
from git_planner.flows.hooks.status import hook_status
from git_planner.gitio.repository import Repository, open_repository
from tests.hooks.hooked_repository import ITERATION, guarded_lab, hook, tree_bytes
from tests.support.lab import Lab
from tests.support.workshop import workshop


def copied(lab: Lab) -> Repository:
    """Copy the repository as 'cp -r' does."""
    shutil.copytree(lab.path, lab.root / "copy", symlinks=True)
    return open_repository(lab.root / "copy")


@pytest.mark.parametrize("old_manifest", [False, True])
@pytest.mark.parametrize("ordinary", [False, True])
def test_hooks_of_a_copy_leave_the_original_alone(lab: Lab, ordinary: bool, old_manifest: bool) -> None:
    theirs = hook(lab.path / ".git/hooks/reference-transaction", "exit 0").read_bytes()
    guarded_lab(lab, ordinary=ordinary)
    if old_manifest:
        file = lab.path / ".git/planner/hooks.json"
        document = json.loads(file.read_text())
        del document["common"]
        file.write_text(json.dumps(document))
    copy, before = copied(lab), tree_bytes(lab.path / ".git")
    assert [finding.code for finding in hook_status(copy).findings][:1] == ["hooks-moved"]
    assert install.install_hooks(copy).changed
    assert [finding.code for finding in hook_status(copy).findings] == []
    installed = tree_bytes(copy.common)
    assert str(lab.path / ".git").encode() not in b"".join(content for _, content in installed.values())
    (copy.place / "tests/new").write_text("")
    lab.git("add", "tests", cwd=copy.place)
    assert "(E_GUARD)" in lab.run_git("commit", "-m", "no", cwd=copy.place).err
    assert tree_bytes(lab.path / ".git") == before
    uninstall.uninstall_hooks(copy)
    assert (copy.common / "hooks/reference-transaction").read_bytes() == theirs
    assert not (copy.common / "planner/hooks").exists()
    assert tree_bytes(lab.path / ".git") == before
    assert [finding.code for finding in hook_status(lab.repo).findings] == []


def test_hooks_are_removed_from_a_copy_before_they_are_installed_again(lab: Lab) -> None:
    guarded_lab(lab)
    copy, before = copied(lab), tree_bytes(lab.path / ".git")
    uninstall.uninstall_hooks(copy)
    assert tree_bytes(lab.path / ".git") == before
    assert not (copy.common / "hooks/reference-transaction").exists()


def test_commits_in_a_copy_write_no_patterns_for_the_original(lab: Lab) -> None:
    guarded_lab(lab)
    copy, guards = copied(lab), lab.path / ".git/planner/guards"
    shutil.rmtree(guards, ignore_errors=True)
    lab.git("commit", "-q", "--allow-empty", "-m", "in the copy", cwd=copy.place)
    assert not (guards / "refs").exists()
    assert (copy.common / "planner/guards/refs/heads" / ITERATION).is_file()


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("ordinary", [False, True])
def test_hooks_of_a_copy_use_its_own_patterns(lab: Lab, ordinary: bool, linked: bool) -> None:
    guarded_lab(lab, ordinary=ordinary)
    lab.git("commit", "-q", "--allow-empty", "-m", "writes the patterns")
    copy = copied(lab)
    for folder, _, names in os.walk(lab.path / ".git/planner/guards"):
        for path in (Path(folder, name) for name in names):
            # From now on, the original guards nothing.
            header, against, *_ = path.read_text().splitlines()
            path.write_text(f"{header}\n{against}\n\nend\n")
    place = copy.place
    if linked:
        place = lab.root / "linked"
        lab.git("checkout", "-q", "main", cwd=copy.place)
        lab.git("worktree", "add", "-q", str(place), ITERATION, cwd=copy.place)
    tip = lab.git("rev-parse", ITERATION, cwd=place)
    (place / "tests/test_code.py").write_text("")
    lab.git("add", "tests", cwd=place)
    assert "(E_GUARD)" in lab.run_git("commit", "-m", "no", cwd=place).err
    assert "(E_GUARD)" in lab.run_git("commit", "--no-verify", "-m", "no", cwd=place).err
    assert lab.git("rev-parse", ITERATION, cwd=place) == tip


def test_hooks_of_a_copy_start_its_own_other_hooks(lab: Lab) -> None:
    output = lab.root / "said"
    for name in ("pre-commit", "post-commit", "reference-transaction"):
        hook(lab.path / ".git/hooks" / name, f'echo "{name} $0" >>"{output}"')
    guarded_lab(lab)
    copy = copied(lab)
    output.write_text("")
    lab.git("commit", "-q", "--allow-empty", "-m", "in the copy", cwd=copy.place)
    heard = {line for line in output.read_text().splitlines() if line.startswith(("pre-commit", "reference"))}
    assert heard == {
        f"pre-commit {copy.common}/hooks/pre-commit",
        f"reference-transaction {copy.common}/hooks/reference-transaction.before-planner",
    }


def test_plans_of_a_copy_follow_its_commits(lab: Lab) -> None:
    guarded_lab(lab)
    lab.git("checkout", "-q", "main")
    copy = copied(lab)
    # Only the copy has a plan.
    assert lab.run("git-plan", "task", "add", "one", cwd=copy.place).status == 0
    lab.git("commit", "-q", "--allow-empty", "-m", "task_001: done", cwd=copy.place)
    assert '"status": "agent_done"' in lab.git(
        "show", "plan/default:.plans/default/plan.json", cwd=copy.place
    )
    assert "plan/default" not in lab.git("branch", "--list")


def campaign_with_worktrees(lab: Lab) -> Path:
    """Return the worktree of an iteration; the plan is checked out, too."""
    workshop(lab)
    assert lab.run("git-iterate").status == 0
    lab.worktree("plan", "plan/default")
    return lab.root / "repo.iter" / "0001-auto"


def test_a_copy_does_not_touch_the_worktrees_of_the_original(lab: Lab) -> None:
    worktree = campaign_with_worktrees(lab)
    copy = copied(lab)
    with lab.undisturbed():
        before = (worktree / ".git").read_bytes(), (lab.root / "plan" / ".git").read_bytes()
        assert lab.run("git-plan", "task", "add", "x", cwd=copy.place).status == 0
        assert lab.git("rev-parse", "plan/default", cwd=copy.place) != lab.git("rev-parse", "plan/default")
        lab.git("update-ref", "refs/heads/iter/0001-auto", "iter/0001-auto~1", cwd=copy.place)
        lab.git("update-ref", "-d", "refs/heads/plan/default", cwd=copy.place)
        resumed = lab.run("git-iterate", "resume", "1", cwd=copy.place)
        assert (resumed.status, "(E_WORKTREE)" in resumed.err) == (3, True), resumed.err
        assert lab.run("git-iterate", "prune", cwd=copy.place).status == 0
        assert ((worktree / ".git").read_bytes(), (lab.root / "plan" / ".git").read_bytes()) == before
    report = json.loads(lab.run("git-planner", "doctor", "--json", cwd=copy.place).out)
    findings = [(finding["code"], finding["target"]) for finding in report["findings"]]
    assert ("worktree-foreign", str(worktree)) in findings
    assert ("worktree-foreign", str(lab.root / "plan")) in findings


def test_a_moved_repository_says_which_worktrees_to_repair(lab: Lab) -> None:
    worktree = campaign_with_worktrees(lab)
    lab.path = lab.path.rename(lab.root / "moved")
    refused = lab.run("git-plan", "task", "add", "x", cwd=lab.path)
    assert refused.status == 3
    assert refused.err == (
        f"error: the worktree '{lab.root / 'plan'}' does not lead to '{lab.path}/.git': "
        "one of them was moved (E_WORKTREE)\n"
        f"hint: run 'git worktree repair' in '{lab.path}', with the new paths of moved worktrees\n"
    )
    report = json.loads(lab.run("git-planner", "doctor", "--json", cwd=lab.path).out)
    broken = [finding["target"] for finding in report["findings"] if finding["code"] == "worktree-broken"]
    assert sorted(broken) == [str(lab.root / "plan"), str(worktree)]
    lab.git("worktree", "repair")
    assert lab.run("git-plan", "task", "add", "x", cwd=lab.path).status == 0
    assert lab.git("status", "--porcelain", cwd=lab.root / "plan") == ""
