"""Variants made by agents on the workers of a dask cluster."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

from tests.engines.dask_cluster import cluster, until
from tests.support.lab import Lab
from tests.tournament.collecting.test_local import COUNT, new_run


def test_agents_of_a_cluster_make_variants_and_a_lost_worker_costs_one_more_run(
    lab: Lab, tmp_path: Path
) -> None:
    folder = tmp_path / "cluster"
    folder.mkdir()
    # The agent of the second variant takes long when it is run for the first time, and its worker dies.
    once = tmp_path / "once"
    slow = f'if [ "$GIT_PLANNER_VARIANT" = 2 ] && [ ! -e {once} ]; then : >{once}; sleep 60; fi'
    log = new_run(lab, f"{slow}; {COUNT}", attempts=3)
    with cluster(folder, 2, pids := []) as address:

        def kill() -> None:
            until(once.exists)
            (busy,) = [pid for pid in pids[1:] if is_ancestor_of_sleep(pid)]
            os.kill(busy, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        words = ("--engine", "dask", "--scheduler", address, "--json")
        with lab.undisturbed():
            ran = lab.run("git-bo4", "watch", "speed", *words)
        thread.join()
    assert ran.status == 0, ran.err
    assert sorted(log.read_text().split()) == ["1", "2", "3"]
    assert lab.run("git-bo4", "harvest", "speed", "--json").status == 0
    for number in (1, 2, 3):
        assert lab.show(f"bo4/speed/v{number}:value") == f"9{number}\n"
        assert lab.git("rev-parse", f"bo4/speed/v{number}^") == lab.git("rev-parse", "main")
    rows = json.loads(lab.run("git-bo4", "status", "speed", "--json").out)["variants"]
    assert [row["state"] for row in rows] == ["harvested"] * 3


def is_ancestor_of_sleep(pid: int) -> bool:
    """Return whether a process has a descendant that sleeps for a minute."""
    children: dict[int, list[int]] = {}
    sleeping = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if (path / "cmdline").read_bytes().startswith(b"sleep\x0060"):
                sleeping.add(int(path.name))
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(path.name))
    waiting = [pid]
    while waiting:
        child = waiting.pop()
        if child in sleeping:
            return True
        waiting += children.get(child, [])
    return False
