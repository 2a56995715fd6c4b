"""Heartbeat of a run: write it, and read from it whether the run is alive, stalled or dead."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from git_planner import atomic_file
from git_planner.flows.runs.store import Run, run_folder, write_document
from git_planner.gitio.repository import Repository
from git_planner.host.clock import utc_now
from git_planner.rules.timestamps import seconds_between

HEARTBEAT = "heartbeat.json"
# Missed heartbeats after which a run counts as stalled.
_MISSED = 4


class Beating(Protocol):
    """Run or session that writes heartbeats. `interval` is the time between two, in seconds."""

    @property
    def run(self) -> str:
        """The id of the run."""

    @property
    def task(self) -> str | None:
        """The task it works on, if any."""

    @property
    def interval(self) -> float:
        """Seconds between two heartbeats."""


class HeartbeatWriter:
    """Writer of a run's heartbeat; writes once per interval as long as it is called often enough.

    Args:
        place: the run's folder.
        run: the run.
        stop: returns whether the agent has been asked to end.
    """

    def __init__(self, place: Path, run: Beating, stop: Callable[[], bool]) -> None:
        self._place, self._run, self._stop = place, run, stop
        self._due = time.monotonic()

    def __call__(self) -> None:
        """Write the heartbeat if one is due.

        Raises:
            KeyboardInterrupt: the agent has been asked to end.
        """
        if self._stop():
            raise KeyboardInterrupt
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self._run.interval
            document = {
                "schema": "git-planner/heartbeat@1",
                "at": utc_now(),
                "run": self._run.run,
                "task": self._run.task,
                "pid": os.getpid(),
            }
            write_document(self._place / HEARTBEAT, document)


def check_liveness(repo: Repository, run: Run) -> str:
    """Return 'ended', 'suspended', 'alive', 'stalled' (it lives, heartbeats are missing) or 'dead'."""
    if run.ended_at is not None:
        return "ended"
    if run.suspended_at is not None:
        return "suspended"
    if run.delegator == "gone":
        return "dead"
    last = last_heartbeat(repo, run)
    return "alive" if last is None or has_fresh_heartbeat(repo, run) else "stalled"


def has_fresh_heartbeat(repo: Repository, run: Beating) -> bool:
    """Return whether a run's last heartbeat is so recent that its delegator must be alive."""
    last = last_heartbeat(repo, run)
    # A clock that was set back makes heartbeats of the future: old ones, too.
    return last is not None and abs(seconds_between(last, utc_now())) <= max(_MISSED * run.interval, 5.0)


def last_heartbeat(repo: Repository, run: Beating) -> str | None:
    """Return the time of a run's last heartbeat; None without a readable one."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        at = json.loads(atomic_file.read(run_folder(repo, run.run) / HEARTBEAT))["at"]
        seconds_between(at, at)
        return str(at)
    return None
