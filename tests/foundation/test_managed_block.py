"""Rewriting a file of git under its lock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.managed_block import rewrite


def test_the_lock_of_the_next_writer_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, lock = tmp_path / "config", tmp_path / "config.lock"
    replace = os.replace

    def replace_and_lock(old: Path, new: Path) -> None:
        # The next writer takes the lock as soon as it is free.
        replace(old, new)
        lock.write_text("the next writer's")

    monkeypatch.setattr(os, "replace", replace_and_lock)
    assert rewrite(path, lambda before: before + b"one\n", "configuration")
    assert (path.read_bytes(), lock.read_text()) == (b"one\n", "the next writer's")
    with pytest.raises(PlannerError) as caught:
        rewrite(path, lambda before: before + b"two\n", "configuration")
    assert (caught.value.code, path.read_bytes()) == ("E_BUSY", b"one\n")


@pytest.mark.parametrize("after", [b"as before\n", b""])
def test_the_own_lock_is_removed_where_nothing_is_renamed(tmp_path: Path, after: bytes) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"as before\n")
    assert rewrite(path, lambda _: after, "configuration") == (after == b"")
    assert [left.name for left in tmp_path.iterdir()] == (["config"] if after else [])


def test_a_change_that_fails_leaves_file_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"as before\n")

    def fail(_: bytes) -> bytes:
        raise PlannerError("E_USAGE", "no")

    with pytest.raises(PlannerError):
        rewrite(path, fail, "configuration")
    assert [(left.name, left.read_bytes()) for left in tmp_path.iterdir()] == [("config", b"as before\n")]
