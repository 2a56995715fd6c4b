"""Overhead of the engines: 64 jobs that wait, on 8 workers, over the sum of their time divided by 8."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from git_planner.engines.choose import ENGINES, open_engine
from git_planner.engines.contract import EngineJob
from tests.bench.timing import Figure

JOBS, WORKERS = 64, 8
PROBE = "git_planner.engines.probe:probe"


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Time the jobs on each engine; the start of its workers counts where it is part of the call."""
    seconds = 2.0 if fewer == 1 else 1.0
    os.environ.update(env)
    least = JOBS * seconds / WORKERS
    for name in ENGINES:
        with open_engine(name, workers=WORKERS) as engine:
            jobs = [EngineJob(str(number), {"seconds": seconds}) for number in range(JOBS)]
            began = time.perf_counter()
            outcomes = list(engine.map(PROBE, jobs, lambda _: None))
            took = time.perf_counter() - began
        assert not [outcome for outcome in outcomes if outcome.error]
        text = f"{took:.2f} s for {least:g} s"
        yield Figure(
            f"{JOBS} jobs on {WORKERS} workers of '{name}': overhead", 5, 100 * (took / least - 1), "%", text
        )
