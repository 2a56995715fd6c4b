"""Source of variants: agents on this host, each in a worktree of its own.

Each variant has a program of its own, which lives on when the command that polls ends; the next poll finds
it. No agent is started twice for one variant.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from git_planner import atomic_file
from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.flows.runs import store
from git_planner.flows.runs.leases import held_lease
from git_planner.flows.runs.store import Run
from git_planner.gitio.git import program_environment
from git_planner.gitio.repository import Repository
from git_planner.host.clock import utc_now
from git_planner.host.machine import host_name, own_program
from git_planner.host.terminals.detached import start_detached
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.tournament.run import TournamentRun
from git_planner.rules.tournament.source import (
    Payload,
    PolledVariant,
    PollResult,
    SourceState,
    TaskRequest,
    state_of_variants,
)
from git_planner.rules.tournament.variant_prompt import agent_row

PARALLEL = 4
# Programs of one variant that may die before it is given up.
_MOST_STARTS = 3
_QUEUE_SECONDS, _START_SECONDS, _PAUSE = 3600.0, 60.0, 0.02


class LocalSource:
    """Agents on this host.

    Args:
        repo: the repository.
        run: the tournament.
        settings: the person's settings.
        progress: called with each progress message.
        parallel: how many agents work at once.
    """

    def __init__(
        self,
        repo: Repository,
        run: TournamentRun,
        settings: Settings,
        progress: Progress,
        parallel: int = PARALLEL,
    ) -> None:
        self._repo, self._run, self._settings, self._progress = repo, run, settings, progress
        self._parallel = parallel
        self._folder = repo.private("bo4", run.uid)

    def start(self, request: TaskRequest) -> str:  # noqa: ARG002 - the contract's parameter
        """Return the id of the task; the agents are started by `poll`."""
        return f"local-{self._run.uid}-{self._run.turn.turn}"

    def poll(self, task: str) -> PollResult:  # noqa: ARG002 - the contract's parameter
        """Start what can be started, and return how far each variant is."""
        runs = {number: self._read(number) for number in range(1, self._run.attempts + 1)}
        free = self._parallel - sum(run is not None and _is_at_work(run) for run in runs.values())
        for number, run in runs.items():
            if run is not None and (run.ended_at is not None or _is_at_work(run)):
                continue
            if free > 0:
                runs[number] = self._start(number, run)
                free -= 1
        return self._result(runs)

    def run_here(self, number: int) -> Run:
        """Make a variant in this process, or go on with it; return its ended run.

        Raises:
            PlannerError: E_BUSY if another process is at it.
        """
        from git_planner.flows.tournament.variant_program import run_variant

        run = self._read(number) or self._reserve(number) or self._read(number)
        assert run is not None
        return run_variant(self._repo, run.run, self._progress)

    def _result(self, runs: Mapping[int, Run | None]) -> PollResult:
        variants = tuple(_polled(number, run) for number, run in runs.items())
        ready = sum(variant.state == "ready" for variant in variants)
        ended = sum(run is not None and run.ended_at is not None for run in runs.values())
        return PollResult(state_of_variants(variants), f"{ended} ended, {ready} ready", variants)

    def fetch(self, task: str, number: int) -> Payload:  # noqa: ARG002 - the contract's parameter
        """Return the commit of a variant.

        Raises:
            PlannerError: the agent's code, E_GUARD or E_AGENT_FAILED if there is none.
        """
        run = self._read(number)
        if run is None or run.commit is None:
            code, reason = (run.error, run.reason) if run is not None else (None, None)
            raise PlannerError(code or "E_AGENT_FAILED", f"v{number} has no result: {reason or 'not ended'}")
        metadata = {"run": run.run, "agent": run.agent, "model": run.model, "host": run.host}
        return Payload(None, run.commit, metadata=metadata)

    def _place(self, number: int) -> Path:
        return self._folder / f"turn{self._run.turn.turn}-v{number}.run"

    def _read(self, number: int) -> Run | None:
        """Return the run of a variant; None if none was ever reserved here."""
        try:
            name = atomic_file.read(self._place(number), 200).decode("ascii", "replace").strip()
        except OSError:
            return None
        return store.load_run(store.run_folder(self._repo, name)) if store.is_run_id(name) else None

    def _start(self, number: int, run: Run | None) -> Run | None:
        """Start the program of a variant, or again to go on with what a killed one has left."""
        repo = self._repo
        if run is not None and run.attempt >= _MOST_STARTS:
            reason = f"its program died {_MOST_STARTS} times"
            return store.save_end(repo, run, outcome="not_started", reason=reason, error="E_AGENT_FAILED")
        purpose = f"start v{number} of {self._run.run}"
        with held_lease(repo, kind="spawn", purpose=purpose, wait=_QUEUE_SECONDS, tell=self._progress):
            if run is None:
                run = self._reserve(number)
            else:
                run = store.save_run(repo, replace(run, attempt=run.attempt + 1, process=None))
            if run is None:
                return None
            self._progress(f"v{number}: {run.agent} is started, run {run.run}")
            child = start_detached(
                (own_program("git-bo4"), "variant-program", run.run),
                cwd=repo.top or repo.common,
                env=program_environment({}),
                log=store.run_folder(repo, run.run) / "program.log",
            )
            return _wait(lambda: child.poll() is not None, lambda: self._read(number))

    def _reserve(self, number: int) -> Run | None:
        """Reserve the run of a variant; None if another process has done so just now."""
        run, place = self._new_run(number), self._place(number)
        place.parent.mkdir(parents=True, exist_ok=True)
        store.save_run(self._repo, run)
        draft = place.with_name(f"{place.name}.{os.getpid()}")
        draft.write_text(run.run, encoding="ascii")
        try:
            atomic_file.claim(draft, place)
        except FileExistsError:
            store.save_end(self._repo, run, outcome="stale", reason="another process started this variant")
            return None
        finally:
            with suppress(OSError):
                draft.unlink()
        return run

    def _new_run(self, number: int) -> Run:
        run, turn = self._run, self._run.turn.turn
        row = agent_row(run.source, number)
        branch = refnames.short_name(refnames.variant_ref(run.run, turn, number))
        now = utc_now()
        return Run(
            run=refnames.new_id(now),
            plan=run.plan,
            task=branch.removeprefix(refnames.TOURNAMENT),
            uid=run.uid,
            attempt=1,
            iteration=0,
            base=run.base,
            branch=branch,
            start=self._start_commit(),
            host=host_name(),
            process=None,
            agent=row.get("agent") or self._settings.implementer,
            model=row.get("model"),
            sandbox=None,
            approval="never",
            danger=False,
            reports=False,
            interval=self._settings.heartbeat,
            seconds=self._settings.implementer_timeout,
            started_at=now,
            tournament=run.run,
            turn=turn,
            variant=number,
        )

    def _start_commit(self) -> str:
        """Return the commit that variants start from: the base, or the variant that a follow-up is about."""
        turn = self._run.turn
        if turn.follows is None:
            return self._run.base
        return self._repo.resolve(refnames.variant_ref(self._run.run, turn.turn - 1, turn.follows))


def _is_at_work(run: Run) -> bool:
    return run.ended_at is None and run.delegator != "gone"


def _polled(number: int, run: Run | None) -> PolledVariant:
    if run is None:
        return PolledVariant(number, "pending", "not started")
    agent = {"agent": run.agent, "model": run.model}
    if run.ended_at is None:
        return PolledVariant(number, "working", "working", run.run, agent)
    state: SourceState = "ready" if run.outcome == "done" else "failed"
    return PolledVariant(number, state, str(run.outcome), run.run, agent, run.reason)


def _wait(has_ended: Callable[[], bool], read: Callable[[], Run | None]) -> Run | None:
    """Wait until the program of a run has taken it over, or has ended; return the run."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        is_over, run = has_ended(), read()
        if is_over or run is None or run.process is not None or time.monotonic() >= deadline:
            return run
        time.sleep(_PAUSE)
