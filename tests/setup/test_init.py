"""Set up a repository with `git planner init`."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable

import pytest

from git_planner.config.policy_file import parse_policy
from git_planner.flows.setup.init import initialise
from git_planner.resources import resource_folder
from tests.hooks.hooked_repository import tree_bytes
from tests.support.lab import Lab


def test_init_is_idempotent(lab: Lab) -> None:
    done = lab.run("git-planner", "init")
    assert (done.status, done.err) == (0, "")
    assert done.out == (
        f"policy: wrote '{lab.path}/.git-planner.yml'\n"
        f"hooks: in '{lab.path}/.git/planner/hooks' (include)\n"
        "merge: git merges documents of git-planner by task and field\n"
        "next: edit '.git-planner.yml': guarded paths, tests, metrics, agents\n"
        "next: commit it on the base branch: git add .git-planner.yml && git commit\n"
        "next: check the setup: git planner doctor\n"
    )
    before = tree_bytes(lab.path)
    assert lab.run("git-planner", "init").out == done.out.replace("wrote", "kept")
    assert tree_bytes(lab.path) == before
    lab.git("add", ".git-planner.yml")
    lab.git("commit", "-q", "-m", "policy")
    assert initialise(lab.repo).next == ("check the setup: git planner doctor",)


def test_the_setup_is_removed_without_trace(lab: Lab) -> None:
    places = [lab.path / ".git" / name for name in ("config", "info/attributes")]
    places[1].parent.mkdir(exist_ok=True)
    places[1].write_text("*.bin -diff\n")
    before = [place.read_bytes() for place in places]
    initialise(lab.repo)
    assert [place.read_bytes() for place in places] != before
    assert lab.run("git-planner", "hooks", "uninstall").out == "hooks: removed\n"
    assert [place.read_bytes() for place in places] == before


def test_the_policy_is_the_template_and_valid(lab: Lab) -> None:
    initialise(lab.repo)
    written = (lab.path / ".git-planner.yml").read_bytes()
    assert written == (resource_folder("templates") / "policy.yml").read_bytes()
    assert parse_policy(written, "policy").base == "main"


@pytest.mark.parametrize("branch", ["trunk", "release/1.x", "null", "1.0", "it's", "ümlaut"])
def test_the_base_is_the_current_branch(lab: Lab, branch: str) -> None:
    lab.git("checkout", "-q", "-b", branch)
    initialise(lab.repo)
    assert parse_policy((lab.path / ".git-planner.yml").read_bytes(), "policy").base == branch


def test_a_generated_branch_is_not_the_base(lab: Lab) -> None:
    lab.git("checkout", "-q", "-b", "iter/0001-x")
    initialise(lab.repo)
    assert parse_policy((lab.path / ".git-planner.yml").read_bytes(), "policy").base == "main"


def test_an_existing_policy_is_kept(lab: Lab) -> None:
    (lab.path / ".git-planner.yml").write_text("mine\n")
    assert not initialise(lab.repo).written
    assert (lab.path / ".git-planner.yml").read_text() == "mine\n"


def test_a_policy_is_written_atomically(lab: Lab) -> None:
    initialise(lab.repo)
    (lab.path / ".git-planner.yml").unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Files may grow to 16 bytes only, as on a disk that is nearly full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            initialise(lab.repo)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (lab.path / ".git-planner.yml").exists()


def test_a_dangling_symlink_is_kept(lab: Lab) -> None:
    (lab.path / ".git-planner.yml").symlink_to("elsewhere.yml")
    assert not initialise(lab.repo).written
    assert not (lab.path / "elsewhere.yml").exists()


def test_before_the_first_commit(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(first=False)
    done = lab.run("git-planner", "init", "--json")
    document = json.loads(done.out)
    assert (done.status, document["written"]) == (0, True)
    assert document["next"] == [
        "edit '.git-planner.yml': guarded paths, tests, metrics, agents",
        (
            "commit it on the base branch, as the first commit of this repository:"
            " git add .git-planner.yml && git commit"
        ),
        "check the setup: git planner doctor",
    ]


def test_bare(make_lab: Callable[..., Lab]) -> None:
    bare = make_lab("--bare")
    done = bare.run("git-planner", "init")
    assert (done.status, done.out) == (
        0,
        (
            f"hooks: in '{bare.path}/planner/hooks' (include)\n"
            "merge: git merges documents of git-planner by task and field\n"
            "next: commit a '.git-planner.yml' in a clone of this bare repository: git planner init\n"
        ),
    )


def test_ordinary(lab: Lab) -> None:
    assert initialise(lab.repo, ordinary=True).hooks.place == "ordinary"
    assert initialise(lab.repo).hooks.place == "include"


def test_from_a_subfolder(lab: Lab) -> None:
    lab.commit("folder", {"deep/er/file": ""})
    assert lab.run("git-planner", "init", cwd=lab.path / "deep/er").status == 0
    assert (lab.path / ".git-planner.yml").is_file()
