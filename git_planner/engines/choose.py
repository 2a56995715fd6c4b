"""Choice of an engine by its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from git_planner.engines.contract import Engine
from git_planner.errors import PlannerError

ENGINES = ("local", "dask")


@contextmanager
def open_engine(name: str, *, workers: int, scheduler: str | None = None) -> Iterator[Engine]:
    """Open an engine, and close it at the end.

    Args:
        name: 'local' or 'dask'.
        workers: the number of worker processes on this host; a running cluster has its own.
        scheduler: the address of dask's scheduler; None starts a cluster on this host.

    Raises:
        PlannerError: E_USAGE; E_MISSING_EXTRA and E_REMOTE of dask.
    """
    if scheduler is not None and name != "dask":
        raise PlannerError("E_USAGE", "'--scheduler' belongs to '--engine dask'", hint="git bo4 gate -h")
    engine = _make(name, workers, scheduler)
    try:
        yield engine
    finally:
        engine.close()


def _make(name: str, workers: int, scheduler: str | None) -> Engine:
    if name == "dask":
        from git_planner.engines.dask import DaskEngine

        return DaskEngine(scheduler, workers)
    if name == "local":
        from git_planner.engines.local import LocalEngine

        return LocalEngine(workers)
    raise PlannerError("E_USAGE", f"{name[:80]!r} is not an engine", hint=f"engines: {', '.join(ENGINES)}")
