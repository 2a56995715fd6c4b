"""Engine of a dask cluster: one that it starts on this host, or one with a running scheduler.

dask carries the work: it gives jobs to workers, and runs those of a lost worker again on another one. The
only module that imports `distributed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from git_planner.engines.contract import EngineJob, JobOutcome, lost_error
from git_planner.engines.run_job import failed_outcome, job_function, pack_job, run_job, unpack_outcome
from git_planner.errors import PlannerError
from git_planner.progress import Progress

CONNECT_SECONDS = 30


class DaskEngine:
    """An engine on a dask cluster.

    Args:
        scheduler: the address of a scheduler, such as 'tcp://10.0.0.1:8786'; None starts a cluster here.
        workers: the number of worker processes of a cluster that is started here.
        connect_seconds: the time that the scheduler has to answer.

    Raises:
        PlannerError: E_MISSING_EXTRA if dask is not installed; E_REMOTE if the scheduler does not answer.
    """

    name = "dask"

    def __init__(
        self, scheduler: str | None, workers: int, *, connect_seconds: float = CONNECT_SECONDS
    ) -> None:
        if not _is_installed():
            raise PlannerError(
                "E_MISSING_EXTRA",
                "the engine 'dask' needs the package 'distributed', which is not installed",
                hint="pip install 'git-planner[distributed]'",
            )
        self._cluster: Any = None
        self._client = self._connect(scheduler, connect_seconds) if scheduler else self._start(workers)

    @staticmethod
    def _connect(scheduler: str, seconds: float) -> Any:
        from distributed import Client

        try:
            return Client(scheduler, timeout=seconds)
        except (OSError, TimeoutError, ValueError) as error:
            raise PlannerError(
                "E_REMOTE",
                f"the scheduler '{scheduler[:200]}' does not answer: {str(error)[:200]}",
                hint="start one with 'dask scheduler', and workers with 'dask worker'",
            ) from None

    def _start(self, workers: int) -> Any:
        from distributed import Client, LocalCluster

        self._cluster = LocalCluster(
            n_workers=max(1, workers),
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            # Workers load it before the first job.
            preload=["git_planner.engines.run_job"],
            silence_logs=50,
        )
        return Client(self._cluster)

    def map(self, function: str, jobs: Sequence[EngineJob], progress: Progress) -> Iterator[JobOutcome]:
        """Run a function on each payload; see `contract.Engine`."""
        from distributed import as_completed

        job_function(function)
        keys: dict[str, str] = {}
        futures = []
        for job in jobs:
            future = self._client.submit(
                run_job,
                function,
                pack_job(job),
                key=f"git-planner-{id(self)}-{job.key}",
                pure=False,
                resources=dict(job.resources) or None,
            )
            keys[future.key] = job.key
            futures.append(future)
        progress(f"{len(jobs)} jobs on {self._place()}")
        try:
            for future in as_completed(futures):
                outcome = _outcome(keys[future.key], future)
                # A result that is still wanted would be made again if the worker that has it dies.
                future.release()
                yield outcome
        finally:
            self._client.cancel(futures)

    def close(self) -> None:
        """Leave the cluster; end it if it was started here."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _place(self) -> str:
        workers = len(self._client.scheduler_info(n_workers=-1)["workers"])
        return f"{workers} workers of {self._client.scheduler.address}"


def _is_installed() -> bool:
    try:
        return find_spec("distributed") is not None
    except ValueError:
        return False


def _outcome(key: str, future: Any) -> JobOutcome:
    error = future.exception()
    if error is None:
        return unpack_outcome(key, future.result())
    if type(error).__name__ == "KilledWorker":
        return failed_outcome(key, lost_error(key))
    message = f"the cluster lost the job '{key}': {type(error).__name__}: {str(error)[:300]}"
    return failed_outcome(key, PlannerError("E_WORKER_LOST", message, hint="run the command again"))
