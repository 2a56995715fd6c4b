"""Time of everyday commands over that of `git plan -h`, in a repository with a record and an iteration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.bench.timing import Figure, commands, run_command
from tests.support.lab import Lab

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
    """Time the commands and the help interleaved."""
    lab = Lab(root, first=False)
    lab.commit("the bench", {".git-planner.yml": POLICY, "src/value": "100\n", "tests/test_it": "guarded\n"})
    for argv in (("plan", "task", "add", "one"), ("record",), ("plan", "offline")):
        run_command(["git", *argv], lab.path, env)
    taken = commands(20 // fewer, lab.path, env, {"help": ("git", "plan", "-h"), **EVERYDAY})
    for name in EVERYDAY:
        times = taken[name].median / taken["help"].median
        yield Figure(f"{name} over git plan -h", ASKED, times, "x", f"{taken[name].median:.0f} ms")
