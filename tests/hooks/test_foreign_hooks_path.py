"""Where core.hooksPath leads to something that is not ours to write into, or is no folder at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.hooks import install, uninstall
from git_planner.flows.hooks.status import hook_status
from tests.hooks.hooked_repository import COMMIT_FILES, ITERATION, guarded_lab, hook, refusal, tree_bytes
from tests.support.lab import Lab


def codes(lab: Lab) -> list[tuple[str, str]]:
    return [(finding.severity, finding.code) for finding in hook_status(lab.repo).findings]


def a_file(lab: Lab) -> Path:
    """A file of the repository's own, in the place of a hooks folder."""
    (lab.path / ".git/none").write_text("no hooks, please\n")
    return lab.path / ".git/none"


def guards(lab: Lab) -> None:
    """Fail unless the guard holds on the branch that is checked out."""
    (lab.path / "tests/run.sh").write_text("")
    lab.git("add", "tests")
    assert lab.run_git("commit", "-m", "no").err == refusal("changed: tests/run.sh")


@pytest.mark.parametrize("kind", ["device", "file"])
def test_a_hooks_path_that_is_no_folder(lab: Lab, kind: str) -> None:
    nowhere = Path("/dev/null") if kind == "device" else a_file(lab)
    lab.git("config", "core.hooksPath", str(nowhere))
    changed = {*COMMIT_FILES, "HEAD", "info/attributes"}
    before = tree_bytes(lab.path / ".git", but=changed)
    result = lab.run("git-planner", "init")
    assert (result.status, result.err) == (0, "")
    assert (lab.path / ".git-planner.yml").is_file()
    assert codes(lab) == [("warning", "hooks-partly")]
    assert not install.install_hooks(lab.repo).changed
    (lab.path / ".git-planner.yml").unlink()
    guarded_lab(lab, install=False)
    guards(lab)
    with pytest.raises(PlannerError) as caught:
        install.install_hooks(lab.repo, ordinary=True)
    assert (caught.value.code, "is no folder" in caught.value.message) == ("E_HOOKS", True)
    assert codes(lab) == [("warning", "hooks-partly")]
    lab.run("git-planner", "hooks", "uninstall")
    assert tree_bytes(lab.path / ".git", but=changed) == before


def test_the_policy_is_written_whatever_becomes_of_the_hooks(lab: Lab) -> None:
    lab.git("config", "core.hooksPath", "/dev/null")
    assert lab.run("git-planner", "init", "--ordinary").err.startswith(
        "error: the hooks folder '/dev/null' is no"
    )
    assert (lab.path / ".git-planner.yml").is_file()
    assert not (lab.path / ".git/planner/hooks.json").exists()


def test_hooks_that_a_later_hooks_path_takes_out_of_force_are_told(lab: Lab) -> None:
    theirs = hook(lab.path / ".git/hooks/reference-transaction", "exit 0")
    before = theirs.read_bytes()
    guarded_lab(lab)
    assert codes(lab) == []
    lab.git("config", "core.hooksPath", "/dev/null")
    assert codes(lab) == [
        ("warning", "hooks-stale"),
        ("error", "hooks-overridden"),
        ("warning", "hooks-partly"),
    ]
    assert lab.run("git-planner", "hooks", "status").status == 1
    assert install.install_hooks(lab.repo).changed
    assert theirs.read_bytes() == before
    assert codes(lab) == [("warning", "hooks-partly")]
    lab.git("checkout", "-q", ITERATION)
    guards(lab)
    lab.git("config", "--unset", "core.hooksPath")
    assert install.install_hooks(lab.repo).changed
    assert codes(lab) == []


def test_one_hooks_folder_for_two_repositories_is_left_alone(lab: Lab) -> None:
    shared = lab.root / "shared"
    hook(shared / "reference-transaction", "exit 0")
    before = tree_bytes(shared)
    other = lab.clone("other")
    for clone in (lab, other):
        clone.git("config", "core.hooksPath", str(shared))
        with clone.entered():
            guarded_lab(clone)
            assert codes(clone) == [("warning", "hooks-partly")]
    assert codes(lab) == [("warning", "hooks-partly")]
    with pytest.raises(PlannerError) as caught:
        install.install_hooks(lab.repo, ordinary=True)
    assert (caught.value.code, str(shared) in caught.value.message) == ("E_HOOKS", True)
    uninstall.uninstall_hooks(lab.repo)
    assert tree_bytes(shared) == before
    with other.entered():
        assert codes(other) == [("warning", "hooks-partly")]
        guards(other)


def test_a_missing_hooks_folder_elsewhere_is_not_made(lab: Lab) -> None:
    lab.git("config", "core.hooksPath", str(lab.root / "shared"))
    install.install_hooks(lab.repo)
    assert not (lab.root / "shared").exists()
    (lab.root / "shared").mkdir()
    uninstall.uninstall_hooks(lab.repo)
    assert (lab.root / "shared").is_dir()


def test_a_hooks_folder_that_is_a_link_out_of_the_repository(lab: Lab) -> None:
    folder, shared = lab.path / ".git/hooks", lab.root / "shared"
    folder.rename(shared)
    folder.symlink_to(shared)
    before = tree_bytes(shared)
    guarded_lab(lab)
    assert codes(lab) == [("warning", "hooks-partly")]
    assert tree_bytes(shared) == before
    guards(lab)


def test_a_folder_in_the_main_work_tree_as_a_linked_one_sees_it(lab: Lab) -> None:
    folder = lab.path / "githooks"
    hook(folder / "pre-commit", "exit 0")
    before = tree_bytes(folder)
    lab.git("config", "core.hooksPath", str(folder))
    lab.git("branch", "other")
    place = lab.worktree("other", "other")
    assert lab.run("git-planner", "hooks", "install", cwd=place).status == 0
    assert tree_bytes(folder) == before
