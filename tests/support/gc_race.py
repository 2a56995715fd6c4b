"""Writers of one plan beside a `git gc --prune=now` that runs again and again."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

REF, FILE = "refs/heads/plan/x", ".plans/x/plan.json"
_WRITER = """
import sys
from git_planner.gitio.repository import open_repository
from git_planner.gitio.store import Message, Store
name, count, ref, path = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
store = Store(open_repository())
for number in range(count):
    line = f"{name} {number}\\n".encode()
    store.edit(ref, lambda seen: {path: (seen.read(path) or b"") + line}, Message("add"), base="main")
"""


def race(path: Path, env: Mapping[str, str], writers: int, edits: int) -> tuple[int, int]:
    """Let writers edit one file while a gc runs in a loop.

    Args:
        path: a repository with a branch 'main'.
        env: the environment of the processes.
        writers: the number of processes.
        edits: the edits of each, of which none may be lost.

    Returns:
        The edits that are in the file and in the history, and how often gc ran.
    """
    ended, rounds = threading.Event(), 0

    def collect() -> None:
        nonlocal rounds
        while not ended.is_set():
            argv = ["git", "gc", "--quiet", "--prune=now"]
            done = subprocess.run(argv, cwd=path, env=dict(env), check=False, capture_output=True, text=True)
            rounds += done.returncode == 0
            if done.returncode:
                print("gc:", done.returncode, done.stderr, file=sys.stderr)

    collector = threading.Thread(target=collect)
    collector.start()
    argv = [sys.executable, "-c", _WRITER]
    processes = [
        subprocess.Popen([*argv, str(number), str(edits), REF, FILE], cwd=path, env=dict(env))
        for number in range(writers)
    ]
    statuses = [process.wait() for process in processes]
    ended.set()
    collector.join()
    assert statuses == [0] * writers, statuses
    lines = _git(path, env, "cat-file", "blob", f"{REF}:{FILE}").splitlines()
    count = int(_git(path, env, "rev-list", "--count", f"main..{REF}"))
    _git(path, env, "fsck", "--no-dangling", "--connectivity-only")
    return min(len(set(lines)), count), rounds


def _git(path: Path, env: Mapping[str, str], *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=path, env=dict(env), check=True, capture_output=True, text=True)
    return done.stdout
