"""Startup time of `git plan -h`, and of a measured command in the sandbox."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from git_planner.host import jail
from git_planner.host.jail import Jail
from tests.bench.timing import Figure, commands

BIN = Path(sys.executable).parent


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Time the help of `git plan`, started by git, a bare Python interpreter, and `true` in the sandbox."""
    named = {"help": ["git", "plan", "-h"], "python": [sys.executable, "-c", "pass"]}
    taken = commands(30 // fewer, root, env, named)
    remark = f"a bare interpreter in the same run: {taken['python'].median:.1f} ms"
    yield Figure("git plan -h", 150, taken["help"].median, "ms", remark)
    sandbox = jail.find("auto", env["PATH"])
    if isinstance(sandbox, Jail):
        for name in ("tree", "home", "tmp"):
            (root / name).mkdir(exist_ok=True)
        argv, _ = jail.confined(sandbox, ["true"], {"PATH": env["PATH"]}, root)
        taken = commands(60 // fewer, root, env, {"outside": ["true"], "inside": argv})
        cost = taken["inside"].median - taken["outside"].median
        yield Figure("a command in the sandbox, more than outside of it", 20, cost, "ms", sandbox.shown)
