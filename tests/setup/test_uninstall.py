"""Taking git-planner out of a repository again."""

from __future__ import annotations

import json
import signal
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from git_planner.gitio.content.reused_export import ReusedExport
from git_planner.gitio.kept.kept_folder import kept_tree_of
from tests.iterations.unfinished.test_resume import interrupt
from tests.support.lab import Lab
from tests.support.small_campaign import attempt, campaign


def used(lab: Lab) -> dict[str, str]:
    """Use git-planner in a repository with a remote and a hook; return the hook and the configuration."""
    hook = lab.path / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o755)
    lab.git("init", "-q", "--bare", str(lab.root / "remote.git"))
    lab.git("remote", "add", "origin", str(lab.root / "remote.git"))
    before = {"hook": hook.read_text(), "config": lab.git("config", "--local", "--list")}
    campaign(lab)
    assert lab.run("git-planner", "init").status == 0
    assert lab.run("git-planner", "remote", "setup").status == 0
    lab.git("config", "planner.plan", "default")
    lab.git("config", "planner.attempts", "2")
    attempt(lab, "echo 90 >value")
    # Refused work is on no branch.
    attempt(lab, "echo 80 >value; echo x >tests/test_it")
    return before


def test_hooks_configuration_refs_and_folders_go_and_documents_stay(lab: Lab) -> None:
    before = used(lab)
    branches = {ref: oid for ref, oid in lab.refs().items() if not ref.startswith("refs/planner/")}
    listed = lab.run("git-planner", "uninstall", "--dry-run")
    assert listed.status == 0
    assert "would remove the hooks" in listed.out
    assert "would remove configuration: planner.attempts, planner.plan" in listed.out
    assert "stays: refs/planner/refused/0002, work that nothing else keeps" in listed.out
    refused = lab.run("git-planner", "uninstall", "--json")
    assert (refused.status, json.loads(refused.out)["code"]) == (2, "E_USAGE")
    refs = lab.refs()
    done = lab.run("git-planner", "uninstall", "--yes")
    assert done.status == 0, done.err
    assert "stays: branches" in done.out
    remaining = lab.refs()
    assert {ref: oid for ref, oid in remaining.items() if not ref.startswith("refs/planner/")} == branches
    assert {ref for ref in remaining if ref.startswith("refs/planner/")} == {"refs/planner/refused/0002"}
    assert remaining["refs/planner/refused/0002"] == refs["refs/planner/refused/0002"]
    assert not (lab.path / ".git/planner").exists()
    assert (lab.path / ".git/hooks/pre-commit").read_text() == before["hook"]
    assert lab.git("config", "--local", "--list") == before["config"]
    # Nothing is left to do, and everything is found again after a new 'init'.
    assert "nothing of git-planner is here" in lab.run("git-planner", "uninstall").out
    assert lab.run("git-planner", "uninstall", "--all-refs", "--yes").status == 0
    assert lab.run("git-planner", "init").status == 0
    assert "improved" in lab.run("git-record", "log").out


def test_with_work_the_refs_of_refused_changes_go_too(lab: Lab) -> None:
    used(lab)
    assert lab.run("git-planner", "uninstall", "--all-refs", "--yes").status == 0
    assert not [ref for ref in lab.refs() if ref.startswith("refs/planner/")]


def test_killed_anywhere_the_same_command_ends_it(lab: Lab) -> None:
    before = used(lab)
    for call in range(3, 400, 9):
        ran = lab.spawn("git-planner", "uninstall", "--yes", **lab.crash_after(call))
        lab.fsck()
        if ran.status == 0:
            break
    assert lab.run("git-planner", "uninstall", "--yes").status == 0
    assert lab.git("config", "--local", "--list") == before["config"]
    assert (lab.path / ".git/hooks/pre-commit").read_text() == before["hook"]
    assert not (lab.path / ".git/planner").exists()


def test_while_something_runs_nothing_is_removed(lab: Lab) -> None:
    campaign(lab)
    assert lab.run("git-planner", "init").status == 0
    interrupt(lab, "echo 42 >value", "--slug", "x", number=signal.SIGINT)
    # An unfinished iteration's worktree stays, with its reason.
    document = json.loads(lab.run("git-planner", "uninstall", "--dry-run", "--json").out)
    assert [place["why_kept"] for place in document["worktrees"]] == [
        "the iteration is not finished (planned)"
    ]
    folder = lab.path / ".git/planner/runs/0001"
    assert folder.is_dir()


@pytest.mark.parametrize("name", ["it's", "ü"])
def test_a_remote_of_any_name_is_found(lab: Lab, tmp_path: Path, name: str) -> None:
    lab.git("remote", "add", name, str(tmp_path))
    assert lab.run("git-planner", "remote", "setup", name).status == 0
    document = json.loads(lab.run("git-planner", "uninstall", "--dry-run", "--json").out)
    assert document["remotes"] == [name]
    assert lab.run("git-planner", "uninstall", "--yes").status == 0
    assert "planner" not in lab.git("config", "--local", "--list")


def test_the_folder_of_the_last_record_goes(lab: Lab) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as cache:
        lab.env["XDG_CACHE_HOME"] = cache
        with lab.entered():
            with closing(ReusedExport(lab.repo, reuse=True)) as folder, folder.holding("HEAD^{tree}"):
                pass
            if (kept := kept_tree_of(lab.repo)) is None:
                pytest.skip("the file system of /var/tmp is not one that folders are kept on")
        assert f"would remove '{kept.path}'" in lab.run("git-planner", "uninstall", "--dry-run").out
        assert lab.run("git-planner", "uninstall", "--yes").status == 0
        assert not kept.path.exists()
        assert "nothing of git-planner is here" in lab.run("git-planner", "uninstall").out
