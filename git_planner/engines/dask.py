"""Engine of a dask cluster: one that it starts on this host, or one with a running scheduler.

dask carries the work: it gives jobs to workers, and runs those of a lost worker again on another one. The
only module that imports `distributed`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from git_planner.engines.contract import (
    EngineJob,
    JobOutcome,
    PinnedWorker,
    died_error,
    lost_error,
    needed_result,
    slow_error,
)
from git_planner.engines.run_job import (
    MAX_BYTES,
    failed_outcome,
    job_function,
    pack_job,
    run_job,
    unpack_outcome,
)
from git_planner.errors import PlannerError
from git_planner.progress import Progress

CONNECT_SECONDS = 30
# How often a worker that runs a job is looked for in the cluster.
_LOOK_SECONDS = 1.0


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

    def pin(self, function: str, job: EngineJob, *, seconds: float, avoid: Collection[str]) -> PinnedWorker:
        """Let the cluster choose a worker for a first job; see `contract.Engine`."""
        job_function(function)
        others = [address for address in self._workers() if address not in avoid]
        future = self._submit(function, job, others if avoid else [])
        text = self._answer(future, "of the cluster", seconds, lambda: True)
        places = [address for group in self._client.who_has([future]).values() for address in group]
        future.release()
        if not places:
            raise died_error("of the cluster")
        return _DaskWorker(self, str(places[0]), needed_result(unpack_outcome(job.key, text)))

    def call_on(self, address: str, function: str, job: EngineJob, seconds: float) -> JobOutcome:
        """Run a job on one worker; see `contract.PinnedWorker`."""
        job_function(function)
        future = self._submit(function, job, [address])
        text = self._answer(future, address, seconds, lambda: address in self._workers())
        future.release()
        return needed_result(unpack_outcome(job.key, text))

    def _submit(self, function: str, job: EngineJob, workers: list[str]) -> Any:
        return self._client.submit(
            run_job,
            function,
            pack_job(job),
            key=f"git-planner-{id(self)}-{secrets.token_hex(8)}-{job.key}",
            pure=False,
            resources=dict(job.resources) or None,
            workers=workers or None,
            allow_other_workers=False,
        )

    def _answer(self, future: Any, worker: str, seconds: float, is_alive: Callable[[], bool]) -> object:
        """Wait for the answer of a job.

        Args:
            future: the job.
            worker: what to call its worker in errors.
            seconds: the most seconds to wait.
            is_alive: whether its worker belongs to the cluster still.

        Raises:
            WorkerLostError: it does not, or it has not answered in time.
        """
        from distributed import wait

        until = time.monotonic() + seconds
        try:
            while not future.done():
                if time.monotonic() > until:
                    raise slow_error(self._holder(future) or worker, seconds)
                # A job for one worker would wait for ever for one that has left.
                if not is_alive():
                    raise died_error(worker)
                with suppress(TimeoutError):
                    wait(future, timeout=min(_LOOK_SECONDS, max(0.01, until - time.monotonic())))
            sizes = self._client.nbytes([future.key], summary=False)
            if sum(sizes.values()) > MAX_BYTES:
                raise PlannerError("E_REMOTE", f"the answer of the worker '{worker}' is larger than is read")
            rest = max(_LOOK_SECONDS, until - time.monotonic())
            error = future.exception(timeout=rest)
            if error is None:
                return future.result(timeout=rest)
        except TimeoutError:
            raise slow_error(worker, seconds) from None
        except (OSError, RuntimeError) as gone:
            error = gone
        finally:
            if not future.done():
                future.cancel()
        raise died_error(worker, f": {type(error).__name__}: {str(error)[:200]}")

    def _holder(self, future: Any) -> str | None:
        """Return the address of the worker that has a job; None if no worker has."""
        for address, keys in self._client.processing().items():
            if any(str(key) == str(future.key) for key in keys):
                return str(address)
        return None

    def _workers(self) -> list[str]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"])

    def close(self) -> None:
        """Leave the cluster; end it if it was started here."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _place(self) -> str:
        return f"{len(self._workers())} workers of {self._client.scheduler.address}"


class _DaskWorker:
    """One worker of a cluster, named by its address."""

    def __init__(self, engine: DaskEngine, address: str, first: JobOutcome) -> None:
        self._engine, self.name, self.first = engine, address, first

    def call(self, function: str, job: EngineJob, *, seconds: float) -> JobOutcome:
        """Run a job; see `contract.PinnedWorker`."""
        return self._engine.call_on(self.name, function, job, seconds)

    def close(self) -> None:
        """Leave the worker, which belongs to its cluster."""


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
