"""The implementer 'patches', in a worktree."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_planner.agents.patches import PatchesImplementer
from git_planner.errors import PlannerError
from tests.agents.cases import Progress, brief
from tests.support.lab import Lab

CHANGE = "diff --git a/{0} b/{0}\n--- a/{0}\n+++ b/{0}\n@@ -1 +1 @@\n-{1}\n+{2}\n"


@pytest.fixture
def folder(lab: Lab) -> Path:
    patches = lab.root / "patches"
    patches.mkdir()
    (patches / "02-second.diff").write_text(CHANGE.format("README.md", "one", "two"))
    (patches / "01-first.patch").write_text(CHANGE.format("README.md", "hello", "one"))
    (patches / "00-notes.txt").write_text("not a patch")
    return patches


def test_applies_the_patch_of_its_turn(lab: Lab, folder: Path) -> None:
    progress = Progress()
    done = PatchesImplementer(folder).implement(brief(lab.path, lab.root / "log"), progress.append)
    assert (lab.path / "README.md").read_text() == "one\n"
    assert (done.summary, done.model, done.usage.total) == ("applied 01-first.patch", None, 0)
    assert progress == ["applying 01-first.patch"]
    PatchesImplementer(None).implement(
        brief(lab.path, lab.root / "log", index=1, patches=folder), progress.append
    )
    assert (lab.path / "README.md").read_text() == "two\n"
    assert lab.git("status", "--porcelain") == "M README.md"


def test_a_patch_that_does_not_apply_changes_nothing(lab: Lab, folder: Path) -> None:
    half = CHANGE.format("README.md", "hello", "half") + CHANGE.format("gone.txt", "x", "y")
    (folder / "00-half.patch").write_text(half)
    with pytest.raises(PlannerError) as caught:
        PatchesImplementer(folder).implement(brief(lab.path, lab.root / "log"), Progress().append)
    assert caught.value.code == "E_PATCH"
    assert caught.value.message == "the patch '00-half.patch' does not apply to this base"
    assert caught.value.details == ("gone.txt: No such file or directory",)
    assert lab.git("status", "--porcelain") == ""


def test_a_patch_cannot_leave_the_worktree(lab: Lab, folder: Path) -> None:
    outside = "diff --git a/../x b/../x\nnew file mode 100644\n--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n"
    (folder / "00-out.patch").write_text(outside)
    with pytest.raises(PlannerError) as caught:
        PatchesImplementer(folder).implement(brief(lab.path, lab.root / "log"), Progress().append)
    assert caught.value.details == ("invalid path '../x'",)
    assert not (lab.root / "x").exists()


def test_an_empty_patch_changes_nothing(lab: Lab, folder: Path) -> None:
    (folder / "00-empty.patch").write_text("")
    assert PatchesImplementer(folder).implement(brief(lab.path, lab.root / "log"), Progress().append).summary
    assert lab.git("status", "--porcelain") == ""


def test_no_more_patches(lab: Lab, folder: Path) -> None:
    with pytest.raises(PlannerError) as caught:
        PatchesImplementer(folder).implement(brief(lab.path, lab.root / "log", index=2), Progress().append)
    assert caught.value.code == "E_PATCHES_EXHAUSTED"
    assert caught.value.message == f"all patches in '{folder}' have been used: 2"


def test_no_folder(lab: Lab) -> None:
    for patches, code in ((None, "E_POLICY"), (Path("none"), "E_MISSING_FOLDER")):
        with pytest.raises(PlannerError) as caught:
            PatchesImplementer(patches).implement(brief(lab.path, lab.root / "log"), Progress().append)
        assert caught.value.code == code


def test_works_in_a_linked_worktree(lab: Lab, folder: Path) -> None:
    lab.git("branch", "other")
    place = lab.worktree("other", "other")
    PatchesImplementer(folder).implement(brief(place, lab.root / "log"), Progress().append)
    assert (place / "README.md").read_text() == "one\n"
    assert (lab.path / "README.md").read_text() == "hello\n"
