"""Startup time of `git plan -h`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.bench.timing import Figure, commands

BIN = Path(sys.executable).parent


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Time the help of `git plan`, started by git, and a bare Python interpreter."""
    named = {"help": ["git", "plan", "-h"], "python": [sys.executable, "-c", "pass"]}
    taken = commands(30 // fewer, root, env, named)
    remark = f"a bare interpreter in the same run: {taken['python'].median:.1f} ms"
    yield Figure("git plan -h", 150, taken["help"].median, "ms", remark)
