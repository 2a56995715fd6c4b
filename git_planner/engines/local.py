"""Engine of this host: a few worker processes, each of which runs one job at a time.

A worker that dies takes no other job with it. A new one runs the job again.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from git_planner.engines.contract import (
    MAX_LOSSES,
    EngineJob,
    JobOutcome,
    PinnedWorker,
    died_error,
    lost_error,
    needed_result,
    slow_error,
)
from git_planner.engines.run_job import failed_outcome, job_function, pack_job, unpack_outcome
from git_planner.engines.worker_process import WorkerProcess
from git_planner.progress import Progress


class LocalEngine:
    """An engine with worker processes on this host.

    Args:
        workers: the most processes at a time.
        env: their environment (default: that of this process).
    """

    name = "local"

    def __init__(self, workers: int, env: Mapping[str, str] | None = None) -> None:
        self.workers = max(1, workers)
        self.env = dict(os.environ if env is None else env)
        self._pools: list[_WorkerPool] = []
        self._pinned: list[_LocalWorker] = []

    def map(self, function: str, jobs: Sequence[EngineJob], progress: Progress) -> Iterator[JobOutcome]:
        """Run a function on each payload; see `contract.Engine`."""
        job_function(function)
        pool = _WorkerPool(function, [(job.key, pack_job(job)) for job in jobs], self.env, progress)
        self._pools.append(pool)
        try:
            yield from pool.run(min(self.workers, len(jobs)))
        finally:
            pool.stop()
            self._pools.remove(pool)

    def pin(
        self,
        function: str,
        job: EngineJob,
        *,
        seconds: float,
        avoid: Collection[str],  # noqa: ARG002 - a new process is none of them
    ) -> PinnedWorker:
        """Start a worker process with a first job; see `contract.Engine`."""
        job_function(function)
        worker = _LocalWorker(WorkerProcess(self.env))
        self._pinned.append(worker)
        worker.first = worker.call(function, job, seconds=seconds)
        return worker

    def close(self) -> None:
        """End all worker processes."""
        for pool in list(self._pools):
            pool.stop()
        for worker in self._pinned:
            worker.close()


class _LocalWorker:
    """A worker process for jobs one after the other; it ends with the first one that fails to answer."""

    first: JobOutcome

    def __init__(self, process: WorkerProcess) -> None:
        self._process: WorkerProcess | None = process
        self.name = process.name

    def call(self, function: str, job: EngineJob, *, seconds: float) -> JobOutcome:
        """Run a job; see `contract.PinnedWorker`."""
        if self._process is None:
            raise died_error(self.name)
        try:
            answer = self._process.ask(function, pack_job(job), seconds=seconds)
        except TimeoutError:
            self.close()
            raise slow_error(self.name, seconds) from None
        if answer is None:
            self.close()
            raise died_error(self.name)
        return needed_result(unpack_outcome(job.key, answer))

    def close(self) -> None:
        """End the process with what it has started."""
        if self._process is not None:
            self._process.end()
            self._process = None


@dataclass
class _WorkerPool:
    """Threads, each with a worker process; they take jobs from one queue."""

    function: str
    jobs: Sequence[tuple[str, str]]
    env: Mapping[str, str]
    progress: Progress
    waiting: queue.SimpleQueue[tuple[str, str, int]] = field(default_factory=queue.SimpleQueue)
    outcomes: queue.SimpleQueue[JobOutcome] = field(default_factory=queue.SimpleQueue)
    processes: set[WorkerProcess] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_stopped: bool = False

    def run(self, workers: int) -> Iterator[JobOutcome]:
        """Yield the outcomes of all jobs as they end."""
        for key, payload in self.jobs:
            self.waiting.put((key, payload, 0))
        for number in range(workers):
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True).start()
        for _ in self.jobs:
            yield self.outcomes.get()

    def stop(self) -> None:
        """End the worker processes, with what these have started."""
        with self.lock:
            self.is_stopped = True
            processes = list(self.processes)
        for process in processes:
            process.order_end()
        for process in processes:
            process.end()

    def _work(self) -> None:
        process: WorkerProcess | None = None
        while not self.is_stopped:
            try:
                key, payload, losses = self.waiting.get(timeout=0.2)
            except queue.Empty:
                continue
            process = process or self._start()
            answer = None if process is None else self._ask(process, payload)
            if answer is not None:
                self.outcomes.put(unpack_outcome(key, answer))
                continue
            process = None
            if self.is_stopped:
                break
            if losses + 1 >= MAX_LOSSES:
                self.outcomes.put(failed_outcome(key, lost_error(key)))
            else:
                self.progress(f"a worker died while it ran '{key}'; another one runs it again")
                self.waiting.put((key, payload, losses + 1))

    def _start(self) -> WorkerProcess | None:
        with self.lock:
            if self.is_stopped:
                return None
            process = WorkerProcess(self.env)
            self.processes.add(process)
        return process

    def _ask(self, process: WorkerProcess, payload: str) -> str | None:
        """Return the answer of a worker; None if it has died."""
        answer = process.ask(self.function, payload)
        if answer is None:
            process.end()
            with self.lock:
                self.processes.discard(process)
        return answer
