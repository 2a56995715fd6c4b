"""Startup time of `git plan -h`, of everyday commands over it, and of a measured command in the sandbox."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from git_planner.host import jail
from git_planner.host.jail import Jail
from tests.bench.timing import Figure, commands, run_command
from tests.support.lab import Lab

BIN = Path(sys.executable).parent
ASKED = 3
POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
metrics:
  - {name: size, run: [cat, src/value], pattern: '(\\d+)', unit: points, better: lower, kind: deterministic}
"""
EVERYDAY: Mapping[str, tuple[str, ...]] = {
    "git plan status": ("git", "plan", "status"),
    "git plan task list": ("git", "plan", "task", "list"),
    "git record log": ("git", "record", "log"),
    "git record, cached": ("git", "record"),
    "git iterate list": ("git", "iterate", "list"),
    "git iterate why": ("git", "iterate", "why", "HEAD"),
}


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
    (root / "everyday").mkdir()
    yield from _measure_everyday(root / "everyday", env, fewer)


def _measure_everyday(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Time the commands and the help interleaved."""
    lab = Lab(root, first=False)
    lab.commit("the bench", {".git-planner.yml": POLICY, "src/value": "100\n", "tests/test_it": "guarded\n"})
    for argv in (("plan", "task", "add", "one"), ("record",), ("plan", "offline")):
        run_command(["git", *argv], lab.path, env)
    taken = commands(20 // fewer, lab.path, env, {"help": ("git", "plan", "-h"), **EVERYDAY})
    for name in EVERYDAY:
        times = taken[name].median / taken["help"].median
        yield Figure(f"{name} over git plan -h", ASKED, times, "x", f"{taken[name].median:.0f} ms")
