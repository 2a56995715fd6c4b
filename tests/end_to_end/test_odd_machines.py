"""Machines and accounts that lack what is common: hard links, a home, one owner."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from git_planner.config.settings import read_settings
from git_planner.flows.hooks import install, uninstall
from git_planner.gitio import remote
from git_planner.gitio.repository import open_repository
from tests.end_to_end.test_hostile_input import check_output
from tests.hooks.hooked_repository import hook, tree_bytes
from tests.support.lab import Lab
from tests.support.small_campaign import hush
from tests.support.workshop import workshop


@contextmanager
def without_hard_links() -> Iterator[None]:
    """Refuse link(2), as FAT, many network mounts and Android do."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "link", refuse)
        yield


def test_everything_works_without_hard_links(lab: Lab) -> None:
    workshop(lab)
    lab.run("git-plan", "task", "add", "First")
    lab.worktree("plan", "plan/default")
    theirs = hook(lab.path / ".git/hooks/reference-transaction", "exit 0")
    before = tree_bytes(lab.path / ".git/hooks")
    with without_hard_links():
        for command in (("git-iterate",), ("git-plan", "task", "add", "Second")):
            ran = lab.run(*command)
            assert ran.status == 0, ran.err
        install.install_hooks(lab.repo)
        assert theirs.with_name("reference-transaction.before-planner").is_file()
        uninstall.uninstall_hooks(lab.repo)
    assert tree_bytes(lab.path / ".git/hooks") == before
    assert lab.git("status", "--porcelain", cwd=lab.root / "plan") == ""
    assert not (lab.path / ".git/worktrees/plan/index.lock").exists()


def test_an_installation_killed_without_hard_links_goes_on(lab: Lab) -> None:
    theirs = hook(lab.path / ".git/hooks/reference-transaction", "exit 0")
    before = tree_bytes(lab.path / ".git/hooks")
    backup = theirs.with_name("reference-transaction.before-planner")
    for act in (install.install_hooks, uninstall.uninstall_hooks):
        backup.write_bytes(theirs.read_bytes())
        backup.chmod(0o755)
        with without_hard_links():
            act(lab.repo)
            uninstall.uninstall_hooks(lab.repo)
        assert tree_bytes(lab.path / ".git/hooks") == before


def test_a_shared_repository_is_writable_for_its_group(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("--shared=group")
    old = os.umask(0o077)
    try:
        workshop(lab)
        for command in (
            ("git-iterate",),
            ("git-plan", "task", "add", "x"),
            ("git-plan", "delegate", "--dry-run"),
        ):
            assert lab.run(*command).status == 0
    finally:
        os.umask(old)
    planner = lab.path / ".git" / "planner"
    shared = [
        planner,
        lab.root / "repo.iter",
        *(planner / name for name in ("runs", "records", "cache")),
    ]
    assert {stat.S_IMODE(path.stat().st_mode) & 0o2070 for path in shared} == {0o2070}
    assert {path.stat().st_mode & 0o060 for path in planner.glob("*.lock")} == {0o060}


@pytest.mark.parametrize(
    ("command", "statuses"),
    [
        ("git-iterate", (0,)),
        ("git-planner uninstall --dry-run", (0,)),
        ("git-planner cache list", (4,)),
        ("git-planner doctor", (1, 2)),
        ("git-planner install-man-pages", (1, 2)),
        ("git-plan codex", (1, 2)),
    ],
)
def test_a_user_without_home_and_name(lab: Lab, command: str, statuses: tuple[int, ...]) -> None:
    workshop(lab)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        lab.env.pop(name, None)
    if command == "git-plan codex":
        lab.git("config", "planner.codexHome", "~/codex")
    # A user namespace in which the number of the user has no entry in the list of users.
    stranger = ("bwrap", "--dev-bind", "/", "/", "--unshare-user", "--uid", "54321", "--gid", "54321")
    if lab.run_program(*stranger, "true").status != 0:
        pytest.skip("needs bubblewrap with user namespaces")
    program, *arguments = command.split(" ")
    code = "import sys; from git_planner import cli; sys.exit(cli.main(sys.argv[1], sys.argv[2:]))"
    ran = lab.run_program(*stranger, sys.executable, "-c", code, program, *arguments)
    check_output(ran)
    assert ran.status in statuses, ran.err
    assert ran.status != 2 or "home folder (E_USAGE)" in ran.err


def test_the_advice_of_git_about_another_owner_is_passed_on(lab: Lab) -> None:
    lab.env["GIT_TEST_ASSUME_DIFFERENT_OWNER"] = "1"
    ran = lab.run("git-plan", "list")
    assert ran.status == 2
    assert ran.err == (
        f"error: detected dubious ownership in repository at '{lab.path}' (E_NOT_A_REPOSITORY)\n"
        f"hint: if you trust it: git config --global --add safe.directory {lab.path}\n"
    )


def test_the_worktrees_of_a_submodule_lie_beside_the_superproject(
    lab: Lab, make_lab: Callable[..., Lab]
) -> None:
    workshop(lab)
    above = make_lab()
    above.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(lab.path), "libs/sub")
    above.commit("a submodule", {})
    sub = above.path / "libs" / "sub"
    assert (sub / ".git").is_file()
    ran = above.run("git-iterate", cwd=sub)
    assert ran.status == 0, ran.err
    assert above.git("status", "--porcelain") == ""
    with above.entered(sub):
        folder = read_settings(open_repository()).worktrees
    assert folder == above.root / "repo.libs-sub.iter"
    assert (folder / "0001-auto" / ".git").is_file()
    again = above.run("git-iterate", "list", cwd=folder / "0001-auto")
    assert (again.status, "0001" in again.out) == (0, True)


def test_pruning_loses_no_tag(lab: Lab) -> None:
    workshop(lab)
    lab.git("init", "-q", "--bare", str(lab.root / "origin.git"))
    lab.git("remote", "add", "origin", str(lab.root / "origin.git"))
    lab.git("push", "-q", "origin", "main")
    assert lab.run("git-iterate").status == 0
    assert lab.run("git-plan", "push").status == 0
    for key in ("fetch.prune", "fetch.pruneTags", "remote.origin.prune", "remote.origin.pruneTags"):
        lab.git("config", key, "true")
    tags, before = lab.git("tag"), lab.refs()
    assert tags
    assert lab.run("git-plan", "pull").status == 0
    with lab.entered():
        remote.fetch(lab.repo, "origin", ["+refs/heads/*:refs/remotes/origin/*"], hush)
    assert lab.git("tag") == tags
    assert before.keys() <= lab.refs().keys()
    report = json.loads(lab.run("git-planner", "doctor", "--json").out)
    assert "prune-tags" in [finding["code"] for finding in report["findings"]]
