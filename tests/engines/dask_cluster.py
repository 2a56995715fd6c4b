"""A real dask cluster for tests: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.lab import sealed

WAIT = 60.0


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, which has to come true."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def scheduler_address(place: Path) -> str:
    """Return the address of a scheduler, once it has written its file."""
    until(lambda: place.exists() and place.read_text().rstrip().endswith("}"))
    return str(json.loads(place.read_text())["address"])


@contextmanager
def cluster(
    folder: Path,
    workers: int,
    pids: list[int] | None = None,
    variables: Sequence[Mapping[str, str]] = (),
) -> Iterator[str]:
    """Start a scheduler and workers as processes of their own; yield the scheduler's address.

    Args:
        folder: an empty folder.
        workers: their number.
        pids: filled with the process ids, the scheduler's first.
        variables: variables of the environment of each worker, if they differ.
    """
    pytest.importorskip("distributed")
    place = folder / "scheduler.json"
    common = ["--scheduler-file", str(place), "--no-dashboard"]
    processes = []

    def start(module: str, *words: str, **own: str) -> None:
        # Each worker has a home of its own, as on a host of its own.
        home = folder / f"home-{len(processes)}"
        env = sealed(home) | {"PYTHONPATH": str(Path(__file__).parents[2])} | own
        argv = [sys.executable, "-m", f"distributed.cli.{module}", *common, *words]
        log = (folder / f"{module}-{len(processes)}.log").open("wb")
        processes.append(subprocess.Popen(argv, cwd=folder, env=env, stdout=log, stderr=log))
        if pids is not None:
            pids.append(processes[-1].pid)

    try:
        start("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
        address = scheduler_address(place)
        for number in range(workers):
            own = variables[number] if variables else {}
            start("dask_worker", "--no-nanny", "--nthreads", "1", "--name", f"w{number}", **own)
        yield address
    finally:
        for process in processes:
            process.kill()
            process.wait()
