"""Edits that are there after 16 writers made 100 each, beside a `git gc --prune=now` that runs in a loop."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.bench.timing import Figure
from tests.support.gc_race import race

WRITERS, EDITS = 16, 100


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Count the edits."""
    path, edits = root / "repo", EDITS // fewer
    subprocess.run(["git", "init", "-q", "-b", "main", str(path)], check=True, env=dict(env))
    argv = ["git", "-C", str(path), "commit", "-q", "--allow-empty", "-m", "first"]
    subprocess.run(argv, check=True, env=dict(env))
    kept, rounds = race(path, env, WRITERS, edits)
    lost = WRITERS * edits - kept
    yield Figure(
        "edits lost beside git gc --prune=now", 0, lost, "", f"of {WRITERS * edits}; gc ran {rounds} times"
    )
