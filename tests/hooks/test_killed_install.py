"""An installation that is killed: the hooks of the repository are in force, and come back as they were."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from git_planner.flows.hooks import install, uninstall
from git_planner.flows.hooks.status import hook_status
from git_planner.flows.hooks.uninstall import UninstallResult
from tests.hooks.hooked_repository import guarded_lab, hook, tree_bytes
from tests.support.lab import Lab
from tests.support.sweeps import sampled


class Killed(BaseException):
    """The end of a process, which nobody catches."""


@contextmanager
def killed_after(steps: int) -> Iterator[None]:
    """Let a process put so many files in place, and no more."""
    counted = 0

    def counting(real: Callable[..., None]) -> Callable[..., None]:
        def one(*args: object, **options: object) -> None:
            nonlocal counted
            counted += 1
            if counted > steps:
                raise Killed
            real(*args, **options)

        return one

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "link", "rename"):
            patch.setattr(os, name, counting(getattr(os, name)))
        yield


def without_drafts(folder: Path) -> dict[str, tuple[int, bytes]]:
    """The hooks folder, without what the next process of the same number takes over."""
    return {name: content for name, content in tree_bytes(folder).items() if not name.startswith(".")}


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("ordinary", [True, False])
@sampled(3)
def test_killed_at_every_step_their_hooks_stay(lab: Lab, ordinary: bool, again: bool, stride: int) -> None:
    guarded_lab(lab, install=False)
    folder = lab.path / ".git/hooks"
    hook(folder / "commit-msg", "echo theirs >&2").chmod(0o750)
    hook(folder / "real", "exit 0").chmod(0o700)
    (folder / "reference-transaction").symlink_to("real")
    before = tree_bytes(folder)
    # Another third of the steps for each kind.
    for steps in range((ordinary + 2 * again) % stride, 100, stride):
        try:
            with killed_after(steps):
                install.install_hooks(lab.repo, ordinary=ordinary)
        except Killed:
            result = lab.run_git("commit", "--allow-empty", "-q", "-m", "x")
            assert (result.status, result.err) == (0, "theirs\n"), steps
        else:
            assert steps > 5
            break
        if again:
            install.install_hooks(lab.repo, ordinary=ordinary)
            assert [finding.code for finding in hook_status(lab.repo).findings] == []
        assert uninstall.uninstall_hooks(lab.repo) == UninstallResult(True, ()) or steps == 0
        assert without_drafts(folder) == before, steps


def test_a_hook_that_was_put_aside_and_not_replaced_comes_back(lab: Lab) -> None:
    theirs = hook(lab.path / ".git/hooks/pre-commit", "echo theirs")
    before = tree_bytes(theirs.parent)
    install.install_hooks(lab.repo, ordinary=True)
    theirs.unlink()
    assert uninstall.uninstall_hooks(lab.repo) == UninstallResult(True, ())
    assert tree_bytes(theirs.parent) == before
