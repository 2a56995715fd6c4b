"""Incomplete objects of other processes: a worktree whose files come one by one, a commit without trees."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.gitio import history, remote
from git_planner.gitio.git_failure import is_transient
from tests.support.lab import Lab
from tests.support.two_clones import PLAN, add, page, share, two_clones


def half_made(lab: Lab) -> Path:
    """A worktree as git leaves it in the middle of making one; the file that is empty yet."""
    place = lab.path / ".git/worktrees/half"
    place.mkdir(parents=True)
    (place / "gitdir").write_text(f"{lab.root}/half/.git\n")
    (place / "HEAD").write_text("ref: refs/heads/half\n")
    (place / "commondir").touch()
    return place / "commondir"


@pytest.mark.parametrize("language", ["", "de"])
def test_a_listing_waits_for_a_worktree_that_is_being_made(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("LANGUAGE", language)
    empty = half_made(lab)
    assert lab.run_git("for-each-ref", "--format=%(worktreepath)").status == 128
    lab.git("remote", "add", "here", str(lab.path))
    for ask in (
        lambda: lab.repo.git.line("for-each-ref", "--format=%(worktreepath)"),
        lambda: remote.fetch_commits(lab.repo, "here", ["refs/heads/main"], lambda _: None),
    ):
        empty.write_text("")
        later = threading.Timer(0.3, empty.write_text, ["../..\n"])
        later.start()
        ask()
        later.join()


def test_git_s_message_identifies_it_here_and_on_the_remote() -> None:
    for stderr in (
        b"fatal: failed to read /a/.git/worktrees/x y/commondir: Success\n",
        b"remote: fatal: failed to read worktrees/x/commondir: Success        \n",
        b"fatal: Invalid path '/a b/.git/worktrees/0006-task-037': No such file or directory\n",
    ):
        assert (is_transient(128, stderr), is_transient(1, stderr), is_transient(0, stderr)) == (
            True,
            True,
            False,
        )
    assert not is_transient(128, b"fatal: failed to read object\n")


def test_one_that_stays_so_is_an_error_in_git_s_words(lab: Lab) -> None:
    half_made(lab)
    began = time.monotonic()
    with pytest.raises(PlannerError) as caught:
        lab.repo.git.line("for-each-ref", "--format=%(worktreepath)")
    assert (caught.value.code, "commondir" in caught.value.message) == ("E_GIT", True)
    assert time.monotonic() - began < 30


def test_a_commit_whose_files_are_not_here_yet_is_fetched(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    add(lab, "From here")
    assert share(lab, "push").status == 0
    tip = lab.refs()[PLAN]
    # Another process fetches it into the same clone, and has written no more than the commit.
    loose = Path("objects", tip[:2], tip[2:])
    (other.path / ".git" / loose.parent).mkdir(exist_ok=True)
    shutil.copy(lab.path / ".git" / loose, other.path / ".git" / loose)
    with other.entered():
        assert other.repo.maybe(tip) == tip
        assert not history.is_complete(other.repo.git, tip)
    done = share(other, "pull")
    assert done.status == 0, done.err
    assert page(other) == page(lab)
    with other.entered():
        assert history.is_complete(other.repo.git, tip)
        assert not history.is_complete(other.repo.git, tip, "0" * 39 + "1")
    other.fsck()
