"""Source of variants: agents on the workers of an engine, such as a dask cluster.

A worker makes a variant in its own copy of the repository, as this host would, and returns the commit. A job
that comes again to a host that has done it returns what is there, so that its agent is not paid again.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from git_planner.config.policy_file import policy_at
from git_planner.config.settings import Settings, read_settings
from git_planner.engines.contract import Engine, EngineJob, JobOutcome
from git_planner.engines.git_data import bundle_result, describe_data, open_data, take_commit
from git_planner.errors import PlannerError
from git_planner.flows.measuring.benches.engine_choice import EngineChoice
from git_planner.flows.runs import store
from git_planner.flows.runs.store import Run
from git_planner.flows.tournament.run_store import RunStore
from git_planner.flows.tournament.sources.local import LocalSource
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Move, Snapshot, Step, Store
from git_planner.host import process_identity
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.tournament.run import TournamentRun
from git_planner.rules.tournament.source import PollResult

FUNCTION = "git_planner.flows.tournament.sources.on_engine:variant_job"
# Fields of a run's end that a worker reports.
_END = ("outcome", "reason", "error", "model", "confined_by")
_PAUSE, _GRACE_SECONDS = 0.5, 120.0


class EngineSource(LocalSource):
    """Agents on the workers of an engine.

    Args:
        repo: the repository.
        run: the tournament.
        settings: the person's settings.
        progress: called with each progress message.
        choice: the engine, as it was chosen.
        engine: the opened engine.
    """

    def __init__(
        self,
        repo: Repository,
        run: TournamentRun,
        settings: Settings,
        progress: Progress,
        *,
        choice: EngineChoice,
        engine: Engine,
    ) -> None:
        super().__init__(repo, run, settings, progress)
        self._choice, self._engine = choice, engine
        self._outcomes: queue.SimpleQueue[JobOutcome | PlannerError] = queue.SimpleQueue()
        self._sent: set[int] = set()
        self._thread: threading.Thread | None = None

    def poll(self, task: str) -> PollResult:  # noqa: ARG002 - the contract's parameter
        """Send what has not been sent, take what has come back, and return how far each variant is."""
        ended = [run is not None and run.ended_at is not None for run in self._runs()]
        missing = [number for number, is_over in enumerate(ended, 1) if not is_over]
        waiting = [number for number in missing if number not in self._sent]
        if waiting:
            self._send(waiting)
        self._collect()
        return self._result(dict(enumerate(self._runs(), 1)))

    def _runs(self) -> list[Run | None]:
        return [self._read(number) for number in range(1, self._run.attempts + 1)]

    def _send(self, numbers: list[int]) -> None:
        jobs = []
        for number in numbers:
            run = self._read(number) or self._reserve(number) or self._read(number)
            assert run is not None
            process = process_identity.identity(os.getpid())
            store.save_run(self._repo, replace(run, process=process))
            jobs.append(EngineJob(f"{self._run.uid}-{self._run.turn.turn}-{number}", self._payload(number)))
        self._sent.update(numbers)
        self._thread = threading.Thread(target=self._pump, args=(jobs,), daemon=True)
        self._thread.start()

    def _payload(self, number: int) -> dict[str, Any]:
        run, turn = self._run, self._run.turn
        names = [refnames.run_ref(run.run)]
        if turn.follows is not None:
            names.append(refnames.variant_ref(run.run, turn.turn - 1, turn.follows))
        refs = {name: self._repo.resolve(name) for name in names}
        data = describe_data(self._repo, run.uid, refs, self._choice.url(self._repo))
        implementer = self._settings.implementer
        return {"data": data, "run": run.run, "number": number, "implementer": implementer}

    def _pump(self, jobs: list[EngineJob]) -> None:
        try:
            for outcome in self._engine.map(FUNCTION, jobs, self._progress):
                self._outcomes.put(outcome)
        except PlannerError as error:
            self._outcomes.put(error)

    def _collect(self) -> None:
        """Settle the variants whose jobs have ended.

        Raises:
            PlannerError: what the engine raises; E_WORKER_LOST if it has ended without all outcomes.
        """
        is_over = self._thread is None or not self._thread.is_alive()
        while not self._outcomes.empty():
            outcome = self._outcomes.get()
            if isinstance(outcome, PlannerError):
                raise outcome
            self._settle(int(outcome.key.rpartition("-")[2]), outcome)
        if is_over and any(run is None or run.ended_at is None for run in self._runs()):
            raise PlannerError(
                "E_WORKER_LOST", "the engine has ended before its jobs", hint="run the same command again"
            )

    def _settle(self, number: int, outcome: JobOutcome) -> None:
        """Put the branch of a variant on the commit of its worker, and end its run."""
        run = self._read(number)
        assert run is not None
        if outcome.result is None:
            error = outcome.error or PlannerError("E_AGENT_FAILED", "its job has no result")
            self._save_failure(run, error)
            return
        end = {name: outcome.result["end"].get(name) for name in _END}
        commit = outcome.result.get("commit")
        if commit is not None:
            try:
                commit = take_commit(self._repo, commit, outcome.result.get("bundle"))
            except PlannerError as error:
                self._save_failure(run, error)
                return
            self._move_branch(refnames.HEADS + run.branch, commit)
        self._progress(f"v{number}: made by {outcome.worker} in {outcome.seconds:.0f} s: {end['outcome']}")
        store.save_end(self._repo, run, commit=commit, **end)

    def _save_failure(self, run: Run, error: PlannerError) -> None:
        store.save_end(self._repo, run, outcome="not_started", reason=error.message, error=error.code)

    def _move_branch(self, ref: str, commit: str) -> None:
        def decide(snapshots: Mapping[str, Snapshot]) -> list[Step]:
            tip = snapshots[ref].tip
            if tip not in (None, commit):
                raise PlannerError(
                    "E_CONFLICT",
                    f"'{refnames.short_name(ref)}' is at {str(tip)[:12]}, not where the worker began",
                    hint="rename that branch, and run the same command again",
                )
            return [] if tip == commit else [Move(ref, commit)]

        Store(self._repo).transact([ref], decide)


def variant_job(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make a variant in a worker: run its agent in a copy, and return the commit as a bundle."""
    copy = open_data(payload["data"])
    for ref, oid in payload["data"]["refs"].items():
        copy.git.bytes("update-ref", str(ref), str(oid))
    run = RunStore(copy, str(payload["run"])).read().run
    policy = policy_at(copy, run.base)
    settings = read_settings(copy, policy=policy, implementer=str(payload["implementer"]))
    source = LocalSource(copy, run, settings, lambda _: None)
    deadline = time.monotonic() + settings.implementer_timeout + _GRACE_SECONDS
    made = _made(source, int(payload["number"]), deadline)
    result: dict[str, Any] = {"end": {name: getattr(made, name) for name in _END}, "commit": made.commit}
    if made.commit is not None:
        result["bundle"] = bundle_result(copy, [made.commit], [made.start])
    return result


def _made(source: LocalSource, number: int, deadline: float) -> Run:
    """Make a variant; wait while an earlier job of the same variant is still at it on this host."""
    while True:
        try:
            return source.run_here(number)
        except PlannerError as error:
            if error.code != "E_BUSY" or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)
