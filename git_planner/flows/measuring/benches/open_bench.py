"""Opening of the bench that the settings choose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from git_planner.config.settings import Settings
from git_planner.flows.measuring.benches.bench import Bench, HostBench
from git_planner.flows.measuring.benches.engine_choice import chosen_engine
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress


@contextmanager
def open_bench(repo: Repository, settings: Settings, progress: Progress) -> Iterator[Bench]:
    """Open the bench of the settings: a worker of their engine, or this host.

    The engine is started when something is measured, not before.

    Raises:
        PlannerError: E_USAGE for settings that do not fit together.
    """
    choice = chosen_engine(settings)
    if choice is None:
        yield HostBench(repo)
        return
    from git_planner.flows.measuring.benches.engine_bench import EngineBench

    bench = EngineBench(repo, choice, progress, seconds=settings.measure_timeout)
    try:
        yield bench
    finally:
        bench.close()
