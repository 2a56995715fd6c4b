"""Where core.hooksPath leads to something that is not ours to write into, or is no folder at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows import hooks
from tests.hooks.place import ITERATION, guarded_lab, hook, refusal, tree_bytes
from tests.lab import Lab


def codes(lab: Lab) -> list[tuple[str, str]]:
    return [(finding.severity, finding.code) for finding in hooks.status(lab.repo).findings]


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
    before = tree_bytes(lab.path / ".git")
    done = lab.run("git-planner", "init")
    assert (done.status, done.err) == (0, "")
    assert (lab.path / ".git-planner.yml").is_file()
    assert codes(lab) == [("warning", "hooks-partly")]
    assert not hooks.install(lab.repo).changed
    (lab.path / ".git-planner.yml").unlink()
    guarded_lab(lab, install=False)
    guards(lab)
    with pytest.raises(PlannerError) as caught:
        hooks.install(lab.repo, ordinary=True)
    assert (caught.value.code, "is no folder" in caught.value.message) == ("E_HOOKS", True)
    assert codes(lab) == [("warning", "hooks-partly")]
    lab.run("git-planner", "hooks", "uninstall")
    after = tree_bytes(lab.path / ".git")
    for each in ("index", "COMMIT_EDITMSG", "ORIG_HEAD", "HEAD", "info/attributes"):
        before.pop(each, None)
        after.pop(each, None)
    assert after == before


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
    assert hooks.install(lab.repo).changed
    assert theirs.read_bytes() == before
    assert codes(lab) == [("warning", "hooks-partly")]
    lab.git("checkout", "-q", ITERATION)
    guards(lab)
    lab.git("config", "--unset", "core.hooksPath")
    assert hooks.install(lab.repo).changed
    assert codes(lab) == []
