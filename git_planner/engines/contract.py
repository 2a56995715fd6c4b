"""Protocol of engines, and the values they exchange.

An engine carries the work, and git carries the data: a job names a function of this package, and its payload
and result are JSON. A job may run twice, if a worker is lost before its result has arrived; so what it
writes has to be the same the second time, or moved by compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from git_planner.errors import PlannerError
from git_planner.progress import Progress

# Workers that may be lost under one job, before the job counts as the cause.
MAX_LOSSES = 3


@dataclass(frozen=True, slots=True)
class EngineJob:
    """A job: a key that is unique among the jobs of a call, and its payload.

    `resources` are what a worker must have, such as {"agent": 1}; only clusters know them.
    """

    key: str
    payload: Mapping[str, Any]
    resources: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The end of a job: its result, or its error; the worker that ran it, and the seconds it took."""

    key: str
    result: Mapping[str, Any] | None
    error: PlannerError | None
    worker: str
    seconds: float


class Engine(Protocol):
    """A place where jobs run."""

    name: str

    def map(self, function: str, jobs: Sequence[EngineJob], progress: Progress) -> Iterator[JobOutcome]:
        """Run a function on each payload, and yield the outcomes as the jobs end.

        Args:
            function: a function of this package, 'git_planner.module:name', from a payload to a result.
            jobs: the jobs, with unique keys.
            progress: called with each progress message.

        Raises:
            PlannerError: E_USAGE for a function that is not of this package.
        """
        ...

    def pin(self, function: str, job: EngineJob, *, seconds: float, avoid: Collection[str]) -> PinnedWorker:
        """Run a job on any worker, and return that worker with the job's outcome, for more jobs of the kind.

        Args:
            function: as for `map`.
            job: the first job.
            seconds: the most seconds that it may take, with the wait for a worker.
            avoid: names of workers that are taken only if there is no other one.

        Raises:
            WorkerLostError: the worker has died, or not answered in time.
            PlannerError: what the job raises; E_USAGE for a function that is not of this package.
        """
        ...

    def close(self) -> None:
        """End the workers that this engine has started."""
        ...


class PinnedWorker(Protocol):
    """One worker, which runs one job after the other. `first` is the outcome of the job that chose it."""

    name: str
    first: JobOutcome

    def call(self, function: str, job: EngineJob, *, seconds: float) -> JobOutcome:
        """Run a job on this worker and on no other one.

        Raises:
            WorkerLostError: the worker has died, or not answered in time.
            PlannerError: what the job raises.
        """
        ...

    def close(self) -> None:
        """Leave the worker; end it if the engine started it for this."""
        ...


class WorkerLostError(PlannerError):
    """A worker has died or does not answer: what it was doing has to begin anew on another one.

    Args:
        worker: its name.
        code, message, hint: as for any error.
    """

    def __init__(self, worker: str, code: str, message: str, *, hint: str) -> None:
        super().__init__(code, message, hint=hint)
        self.worker = worker


def died_error(worker: str, reason: str = "") -> WorkerLostError:
    """Return the error of a worker that has died under a job."""
    return WorkerLostError(
        worker,
        "E_WORKER_LOST",
        f"the worker '{worker[:200]}' died while it ran a job{reason}",
        hint="look for memory limits and killed processes on the workers' hosts, then run the command again",
    )


def slow_error(worker: str, seconds: float) -> WorkerLostError:
    """Return the error of a worker that has not answered in time."""
    return WorkerLostError(
        worker,
        "E_DEADLINE",
        f"the worker '{worker[:200]}' has not answered within {seconds:g} seconds",
        hint="see what keeps the workers busy, or allow more time with the setting 'planner.measureTimeout'",
    )


def needed_result(outcome: JobOutcome) -> JobOutcome:
    """Return an outcome that has a result.

    Raises:
        PlannerError: the error that the outcome has instead.
    """
    if outcome.error is not None:
        raise outcome.error
    if outcome.result is None:
        raise PlannerError("E_REMOTE", f"the worker '{outcome.worker[:200]}' returned no result")
    return outcome


def lost_error(key: str) -> PlannerError:
    """Return the error of a job under which too many workers were lost."""
    return PlannerError(
        "E_WORKER_LOST",
        f"the job '{key}' was given up: {MAX_LOSSES} workers that ran it have died",
        hint="look for memory limits and killed processes on the workers' hosts, then run the command again",
    )
