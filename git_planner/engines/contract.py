"""Protocol of engines, and the values they exchange.

An engine carries the work, and git carries the data: a job names a function of this package, and its payload
and result are JSON. A job may run twice, if a worker is lost before its result has arrived; so what it
writes has to be the same the second time, or moved by compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

    def close(self) -> None:
        """End the workers that this engine has started."""
        ...


def lost_error(key: str) -> PlannerError:
    """Return the error of a job under which too many workers were lost."""
    return PlannerError(
        "E_WORKER_LOST",
        f"the job '{key}' was given up: {MAX_LOSSES} workers that ran it have died",
        hint="look for memory limits and killed processes on the workers' hosts, then run the command again",
    )
