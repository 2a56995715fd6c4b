"""Variants made by agents on the workers of a dask cluster."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from git_planner.config.settings import read_settings
from git_planner.engines.contract import EngineJob, JobOutcome
from git_planner.flows.measuring.benches.engine_choice import EngineChoice
from git_planner.flows.tournament.run_store import RunStore
from git_planner.flows.tournament.sources.on_engine import EngineSource
from git_planner.progress import Progress
from git_planner.rules.tournament.source import FINAL
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


class OneAnswer:
    """An engine whose worker answers every job with the same result."""

    name = "local"

    def __init__(self, result: Mapping[str, Any]) -> None:
        self.result = result

    def map(self, function: str, jobs: Sequence[EngineJob], progress: Progress) -> Iterator[JobOutcome]:
        """Yield the result for each job."""
        for job in jobs:
            yield JobOutcome(job.key, self.result, None, f"a worker of {function}", 0.0)
        progress("done")

    def close(self) -> None:
        """End nothing."""


@pytest.mark.parametrize("commit", ["main", "HEAD~1", "0" * 40, "x\0", ["main"], 7])
def test_a_worker_names_a_commit_of_its_bundle_and_nothing_else(lab: Lab, commit: object) -> None:
    lab.commit("second", {"value": "2"})
    new_run(lab, "true", attempts=1)
    run = RunStore(lab.repo, "speed").read().run
    bundle = lab.root / "x.bundle"
    lab.git("bundle", "create", "-q", str(bundle), "main")
    text = base64.b64encode(bundle.read_bytes()).decode()
    engine = OneAnswer({"end": {"outcome": "done"}, "commit": commit, "bundle": text})
    settings = read_settings(lab.repo)
    choice = EngineChoice("local")
    source = EngineSource(lab.repo, run, settings, lambda _: None, choice=choice, engine=engine)
    deadline = time.monotonic() + 20
    while (result := source.poll("task")).state not in FINAL and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [variant.state for variant in result.variants] == ["failed"]
    assert lab.run_git("rev-parse", "-q", "--verify", "refs/heads/bo4/speed/v1").status != 0


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
