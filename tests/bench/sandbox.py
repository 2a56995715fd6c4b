"""The cost of the sandbox of measured commands: `true` inside and outside of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from git_planner.host import jail
from git_planner.host.jail import Jail
from tests.bench.timing import Figure, commands


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Time a command that does nothing, where there is a sandbox."""
    sandbox = jail.find("auto", env["PATH"])
    if not isinstance(sandbox, Jail):
        return
    for name in ("tree", "home", "tmp"):
        (root / name).mkdir(exist_ok=True)
    argv, _ = jail.confined(sandbox, ["true"], {"PATH": env["PATH"]}, root)
    taken = commands(60 // fewer, root, env, {"outside": ["true"], "inside": argv})
    cost = taken["inside"].median - taken["outside"].median
    yield Figure("a command in the sandbox, more than outside of it", 20, cost, "ms", sandbox.shown)
