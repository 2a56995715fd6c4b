"""Engine of this host: a few worker processes, each of which runs one job at a time.

A worker that dies takes no other job with it. A new one runs the job again.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from git_planner.engines.contract import MAX_LOSSES, EngineJob, JobOutcome, lost_error
from git_planner.engines.run_job import failed_outcome, job_function, pack_job, unpack_outcome
from git_planner.host.start_program import Child, start_program
from git_planner.progress import Progress

# The order by which a supervisor ends everything at once.
_END_NOW = signal.SIGUSR1
_END_SECONDS = 15.0
_START = "from git_planner.engines.worker import main; main()"


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

    def close(self) -> None:
        """End all worker processes."""
        for pool in list(self._pools):
            pool.stop()


@dataclass
class _WorkerPool:
    """Threads, each with a worker process; they take jobs from one queue."""

    function: str
    jobs: Sequence[tuple[str, str]]
    env: Mapping[str, str]
    progress: Progress
    waiting: queue.SimpleQueue[tuple[str, str, int]] = field(default_factory=queue.SimpleQueue)
    outcomes: queue.SimpleQueue[JobOutcome] = field(default_factory=queue.SimpleQueue)
    processes: set[Child] = field(default_factory=set)
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
            process.send_signal(_END_NOW)
        for process in processes:
            _wait_or_kill(process)

    def _work(self) -> None:
        process: Child | None = None
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

    def _start(self) -> Child | None:
        argv = [sys.executable, "-c", _START]
        with self.lock:
            if self.is_stopped:
                return None
            process = start_program(argv, Path.cwd(), self.env, piped=True, supervised=True)
            self.processes.add(process)
        return process

    def _ask(self, process: Child, payload: str) -> str | None:
        """Return the answer of a worker; None if it has died."""
        assert process.stdin is not None
        assert process.stdout is not None
        request = json.dumps({"function": self.function, "payload": payload}) + "\n"
        line = b""
        with suppress(OSError, ValueError):
            _write_all(process.stdin.fileno(), request.encode())
            line = _read_line(process.stdout.fileno())
        if line.endswith(b"\n"):
            return line.decode()
        process.send_signal(_END_NOW)
        _wait_or_kill(process)
        with self.lock:
            self.processes.discard(process)
        return None


def _wait_or_kill(process: Child) -> None:
    until = time.monotonic() + _END_SECONDS
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    if process.poll() is None:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()


def _write_all(number: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]


def _read_line(number: int) -> bytes:
    """Return a line, or what came before the end of the stream."""
    parts = []
    while part := os.read(number, 1 << 20):
        parts.append(part)
        if part.endswith(b"\n"):
            break
    return b"".join(parts)
