"""Engines: jobs in worker processes of this host and of a dask cluster, some of which die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from git_planner.engines.choose import open_engine
from git_planner.engines.contract import Engine, EngineJob, JobOutcome
from git_planner.engines.local import LocalEngine
from git_planner.errors import PlannerError
from tests.engines.dask_cluster import cluster, until
from tests.support.lab import sealed

PROBE = "git_planner.engines.probe:probe"


def marks(path: Path) -> list[int]:
    """Return the processes that have begun a job with this mark."""
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def run(engine: Engine, jobs: list[EngineJob], progress: list[str] | None = None) -> dict[str, JobOutcome]:
    """Run probes; return the outcomes by key."""
    messages: list[str] = [] if progress is None else progress
    outcomes = list(engine.map(PROBE, jobs, messages.append))
    assert len(outcomes) == len(jobs)
    return {outcome.key: outcome for outcome in outcomes}


def probes(folder: Path, count: int, seconds: float = 0.0) -> list[EngineJob]:
    """Return jobs that leave a mark each."""
    return [
        EngineJob(f"job-{n}", {"seconds": seconds, "mark": str(folder / f"mark-{n}")}) for n in range(count)
    ]


def kill_first(folder: Path, times: int = 1) -> threading.Thread:
    """Kill the worker that runs the first job, as often as told, as soon as it has begun."""

    def kill() -> None:
        for number in range(times):
            until(lambda number=number: len(marks(folder / "mark-0")) > number)  # type: ignore[misc]
            os.kill(marks(folder / "mark-0")[number], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def slow_first(folder: Path, count: int) -> list[EngineJob]:
    """Return jobs of which the first one takes long when it is run for the first time only."""
    first, *rest = probes(folder, count)
    return [EngineJob(first.key, {**first.payload, "seconds": 1.0}), *rest]


def test_jobs_run_in_processes_of_this_host(tmp_path: Path) -> None:
    with open_engine("local", workers=2) as engine:
        outcomes = run(engine, probes(tmp_path, 5, 0.2))
    processes = {outcome.result["process"] for outcome in outcomes.values() if outcome.result}
    assert len(processes) == 2
    assert os.getpid() not in processes
    until(lambda: not any(is_alive(process) for process in processes))


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_worker_costs_nothing_but_its_job_a_second_run(tmp_path: Path) -> None:
    messages: list[str] = []
    thread = kill_first(tmp_path)
    with open_engine("local", workers=2) as engine:
        outcomes = run(engine, slow_first(tmp_path, 6), messages)
    thread.join()
    assert [outcome.error for outcome in outcomes.values()] == [None] * 6
    assert [len(marks(tmp_path / f"mark-{n}")) for n in range(6)] == [2, 1, 1, 1, 1, 1]
    assert messages == ["a worker died while it ran 'job-0'; another one runs it again"]


def test_a_job_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    thread = kill_first(tmp_path, 3)
    with open_engine("local", workers=2) as engine:
        outcomes = run(engine, slow_first(tmp_path, 3))
    thread.join()
    codes = {key: outcome.error and outcome.error.code for key, outcome in outcomes.items()}
    assert codes == {"job-0": "E_WORKER_LOST", "job-1": None, "job-2": None}


def test_errors_come_back_with_their_code_and_do_not_end_the_worker(tmp_path: Path) -> None:
    bad = [EngineJob("text", {"seconds": "soon"}), EngineJob("folder", {"mark": str(tmp_path / "no" / "x")})]
    with open_engine("local", workers=1) as engine:
        outcomes = run(engine, [*bad, EngineJob("good", {})])
    error = outcomes["text"].error
    assert error is not None
    assert (error.code, "ValueError" in error.message) == ("E_INTERNAL", True)
    assert outcomes["good"].result is not None
    with pytest.raises(PlannerError) as raised:
        next(LocalEngine(1).map("git_planner.engines.probe:nothing", [], print))
    assert raised.value.code == "E_USAGE"


@pytest.mark.parametrize(
    "name", ["os:system", "git_planner.engines.probe:os.system", "probe", "git_planner:x y"]
)
def test_only_functions_of_this_package_run(name: str) -> None:
    with pytest.raises(PlannerError) as raised:
        next(LocalEngine(1).map(name, [EngineJob("a", {})], print))
    assert raised.value.code == "E_USAGE"


def test_leaving_early_ends_the_workers(tmp_path: Path) -> None:
    with open_engine("local", workers=2) as engine:
        outcomes = engine.map(PROBE, [*probes(tmp_path, 1), EngineJob("long", {"seconds": 600})], print)
        first = next(outcomes)
        assert first.key == "job-0"
    assert first.result is not None
    until(lambda: not is_alive(first.result["process"] if first.result else 0))


def test_engines_that_cannot_be_had_are_errors() -> None:
    for name, scheduler, code in (("other", None, "E_USAGE"), ("local", "tcp://x:1", "E_USAGE")):
        with pytest.raises(PlannerError) as raised, open_engine(name, workers=1, scheduler=scheduler):
            pass
        assert raised.value.code == code


def test_without_the_extra_dask_is_an_error_with_a_hint(tmp_path: Path) -> None:
    # A path on which 'distributed' cannot be found.
    code = (
        "import sys\n"
        "sys.modules['distributed'] = None\n"
        "from git_planner.engines.choose import open_engine\n"
        "from git_planner.errors import PlannerError\n"
        "try:\n    open_engine('dask', workers=1).__enter__()\n"
        "except PlannerError as error:\n    print(error.code, error.hint)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=sealed(tmp_path / "home"),
    )
    assert ran.stdout == "E_MISSING_EXTRA pip install 'git-planner[distributed]'\n"


def test_a_dask_cluster_survives_the_death_of_a_worker(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as address, open_engine("dask", workers=0, scheduler=address) as engine:
        thread = kill_first(tmp_path)
        outcomes = run(engine, slow_first(tmp_path, 9))
        thread.join()
        assert [outcome.error for outcome in outcomes.values()] == [None] * 9
        counts = [len(marks(tmp_path / f"mark-{n}")) for n in range(9)]
        assert counts[0] == 2
        assert marks(tmp_path / "mark-0")[0] not in {
            outcome.result["process"] for outcome in outcomes.values()
        }
        # Errors come back from a cluster as from this host.
        error = run(engine, [EngineJob("text", {"seconds": "soon"})])["text"].error
        assert error is not None
        assert error.code == "E_INTERNAL"


def test_a_scheduler_that_does_not_answer_is_an_error() -> None:
    pytest.importorskip("distributed")
    from git_planner.engines.dask import DaskEngine

    with pytest.raises(PlannerError) as raised:
        DaskEngine("tcp://127.0.0.1:9", 1, connect_seconds=1)
    assert raised.value.code == "E_REMOTE"
