"""Rewriting a file of git under its lock."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.managed_block import rewrite

# Another writer takes the lock whenever it is free, holds it for a moment, and counts the locks that it lost.
RIVAL = """
import os, sys, time
lock, end = sys.argv[1:]
taken = lost = 0
while not os.path.exists(end):
    try:
        own = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        continue
    taken += 1
    if taken == 1:
        print("ready", flush=True)
    time.sleep(0.0005)
    try:
        lost += not os.path.samestat(os.fstat(own), os.stat(lock))
        os.unlink(lock)
    except FileNotFoundError:
        lost += 1
    os.close(own)
    # Without a pause it would hardly ever be free on a busy machine.
    time.sleep(0.001)
print(taken, lost)
"""


def test_the_lock_of_the_next_writer_stays(tmp_path: Path) -> None:
    path, end = tmp_path / "config", tmp_path / "end"
    rival = subprocess.Popen(
        [sys.executable, "-c", RIVAL, str(tmp_path / "config.lock"), str(end)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert rival.stdout is not None
    assert rival.stdout.readline() == "ready\n"
    written = 0
    while written < 100:
        with contextlib.suppress(PlannerError):
            written += rewrite(path, lambda before: before + b"x", "configuration")
    end.touch()
    taken, lost = map(int, rival.communicate()[0].split())
    assert (path.stat().st_size, taken > 0, lost) == (100, True, 0)


@pytest.mark.parametrize("after", [b"as before\n", b""])
def test_the_own_lock_is_removed_where_nothing_is_renamed(tmp_path: Path, after: bytes) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"as before\n")
    assert rewrite(path, lambda _: after, "configuration") == (after == b"")
    assert [path.name for path in tmp_path.iterdir()] == (["config"] if after else [])


def test_a_change_that_fails_leaves_file_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"as before\n")

    def fail(_: bytes) -> bytes:
        raise PlannerError("E_USAGE", "no")

    with pytest.raises(PlannerError):
        rewrite(path, fail, "configuration")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("config", b"as before\n")]


def test_a_linked_file_stays_linked(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    target, path = tmp_path / "dotfiles/config", tmp_path / "config"
    path.symlink_to("dotfiles/config")
    assert rewrite(path, lambda before: before + b"one\n", "configuration")
    assert rewrite(path, lambda before: before + b"two\n", "configuration")
    assert (path.is_symlink(), target.read_bytes()) == (True, b"one\ntwo\n")
