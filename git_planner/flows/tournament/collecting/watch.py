"""`git bo4 watch`: start a run's task if it has none, and poll it until its variants are ready.

Events are written to a journal of this host first. They are committed when the state changes, and from time
to time between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from git_planner import atomic_file
from git_planner.agents.cloud.cloud_cli import PASSING
from git_planner.config.policy_file import policy_at
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.approval.tournament_prompt import require_prompt
from git_planner.flows.tournament.collecting.watch_journal import WatchJournal
from git_planner.flows.tournament.run_store import RunChange, RunStore, RunView, read_runs
from git_planner.flows.tournament.sources.contract import TaskFinder, VariantSource
from git_planner.flows.tournament.sources.open_source import CLOUD, open_source
from git_planner.gitio.repository import Repository, make_shared
from git_planner.progress import Progress, Step, Tick
from git_planner.rules.documents import canonical_json
from git_planner.rules.refnames import short_name
from git_planner.rules.timestamps import format_time, seconds_between
from git_planner.rules.tournament.event import EventDraft
from git_planner.rules.tournament.polled_rows import (
    closed_rows,
    polled_rows,
    states_text,
)
from git_planner.rules.tournament.run import Stage, StageOutcome, TournamentRun
from git_planner.rules.tournament.source import FINAL, PollResult, TaskRequest, check_task_id
from git_planner.rules.tournament.variant import Variant

_FOLDER = "bo4"
_SENDING, _JOURNALS, _REPORTED = "sending", "journals", "reported"
# Seconds by which the service's clock may be behind.
_CLOCKS_DIFFER = 300.0
# Hosts whose journals a run remembers.
_MOST_JOURNALS = 8
_OF_EACH_POLL = ("WATCH_HEARTBEAT", "WATCH_NOT_FOUND", "WATCH_COMMAND_ERROR", "WATCH_PARSE_ERROR")
# Faults after which the service may have made the task all the same.
_UNSURE = (*PASSING, "E_CODEX_FAILED", "E_INTERRUPTED")


# The present, and the pause.
Clock = tuple[Callable[[], float], Callable[[float], None]]


@dataclass(frozen=True, slots=True)
class WatchTimes:
    """Times of a watch, in seconds.

    `interval` is the first pause between two polls; it grows to `longest`, after faults to `longest_fault`.
    A task that the service does not have for `lost` counts as forgotten. Without a change, an event is
    written every `heartbeat`, and events are committed every `commit`.
    """

    interval: float = 5.0
    longest: float = 60.0
    longest_fault: float = 300.0
    lost: float = 600.0
    heartbeat: float = 60.0
    commit: float = 900.0


# Polls of agents on this host cost little.
_ON_THIS_HOST = WatchTimes(interval=0.5, longest=5.0)


def watch(
    repo: Repository,
    name: str,
    progress: Progress,
    *,
    seconds: float | None = None,
    task: str | None = None,
    again: bool = False,
    times: WatchTimes | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> RunView:
    """Wait until the variants of a run's current turn are ready, and return the run.

    Args:
        repo: the repository.
        name: the run's name.
        progress: the callback for messages.
        seconds: the deadline (default: the setting 'watch_timeout').
        task: the id of a task that the service has already.
        again: send the prompt although it may have been sent.
        times, clock, sleep: for tests.

    Raises:
        PlannerError: E_NO_VARIANT if none is ready at the end; E_DEADLINE; E_BUSY if another process watches
            the run; E_STAGE if it is unknown whether the prompt was sent; E_REVIEW; what the source raises.
    """
    store = RunStore(repo, name)
    view = store.read()
    if view.run.is_done("watch") and task in (None, view.run.task_id):
        return view
    # The agents of local variants are those of the base's policy, unless a person has set others.
    policy = policy_at(repo, view.run.base) if view.run.kind == "local" else None
    settings = read_settings(repo, policy=policy)
    with _watching(repo, view.run) as journal:
        times = times or (WatchTimes() if view.run.kind in CLOUD else _ON_THIS_HOST)
        polling = _Polling(store, journal, progress, times, (clock, sleep))
        with open_source(repo, view, settings, progress) as source:
            started = polling.start(source, task, again=again)
            return polling.run(source, started, seconds or settings.watch_timeout)


@contextmanager
def _watching(repo: Repository, run: TournamentRun) -> Iterator[WatchJournal]:
    """Yield the journal of a run's watch, which only one process of this host has.

    Raises:
        PlannerError: E_BUSY.
    """
    folder = repo.private(_FOLDER)
    make_shared(folder, repo.common)
    # Another run may have had the name before.
    stem = f"{run.run}-{sha256(run.uid.encode()).hexdigest()[:12]}"
    with open(folder / f"{stem}.watch.lock", "ab") as file:
        if not atomic_file.lock_now(file):
            raise PlannerError(
                "E_BUSY",
                f"another process watches the tournament '{run.run}'",
                hint=f"git bo4 status {run.run}",
            )
        yield WatchJournal(folder / f"{stem}.watch.ndjson")


class _Polling:
    """Polling of one task, whose events go to a journal and from there to the run's branch."""

    def __init__(
        self,
        store: RunStore,
        journal: WatchJournal,
        progress: Progress,
        times: WatchTimes,
        clock: Clock,
    ) -> None:
        self._store, self._journal, self._progress = store, journal, progress
        self._times, self._clock, self._sleep = times, *clock
        self._view = store.read()
        self._turn = self._view.run.turn.turn
        self._noted_at = self._committed_at = self._clock()
        self._lost_since: float | None = None
        self._pause = times.interval

    # -- start ----------------------------------------------------------------------------------------------
    def start(self, source: VariantSource, task: str | None, *, again: bool) -> str:
        """Return the id of the turn's task, which is started if there is none.

        Raises:
            PlannerError: E_REVIEW; E_STAGE if an earlier call may have started it; what the source raises.
        """
        run, stage = self._view.run, self._view.run.stage("watch")
        answered = self._journal.read_task(self._turn)
        if answered is None:
            # Another turn may have begun since the command was given: this is the prompt that is sent.
            require_prompt(self._store.repo, run, self._view.prompt, self._progress)
        if task is not None:
            return self._began(self._checked(check_task_id(task)))
        if run.task_id is not None:
            return self._began(check_task_id(run.task_id))
        if answered is not None:
            # An earlier process was killed before it could commit the answer.
            return self._began(check_task_id(answered))
        if stage is not None and stage.facts.get(_SENDING) and run.kind in CLOUD and not again:
            sent = self._find(source, stage.at)
            if sent is not None:
                self._progress(f"the task '{sent}' of the service has this prompt")
                self._journal.write_task(self._turn, sent)
                return self._began(sent)
            raise PlannerError(
                "E_STAGE",
                f"the prompt of '{run.run}' may have been sent already: an earlier command ended meanwhile",
                hint=f"find the task in the service's list, then: git bo4 watch {run.run} --task TASK",
                details=["'--send-again' sends the prompt a second time, and is paid a second time"],
            )
        # The intent comes first, so that a second task is only started on request.
        self._commit("begun", "starting", facts={_SENDING: True})
        request = TaskRequest(self._view.prompt, run.environment, short_name(run.base_ref), run.attempts)
        self._progress(Step("sending the prompt"))
        try:
            started = source.start(request)
        except PlannerError as error:
            if error.code not in _UNSURE:
                self._commit("failed", error.message, facts={_SENDING: False})
            raise
        self._journal.write_task(self._turn, started)
        return self._began(started)

    def _find(self, source: VariantSource, sent_at: str) -> str | None:
        """Return the task that the prompt became, if the service shows exactly one that no run here has."""
        if not isinstance(source, TaskFinder):
            return None
        since = seconds_between("1970-01-01T00:00:00Z", sent_at) - _CLOCKS_DIFFER
        others = {turn.task for view in read_runs(self._store.repo) for turn in view.run.turns}
        tasks = [task for task in source.find(self._view.prompt, since) if task not in others]
        return tasks[0] if len(tasks) == 1 else None

    def _checked(self, task: str) -> str:
        """Return the id of a task that a person names.

        Raises:
            PlannerError: E_STAGE if the turn has another one already.
        """
        run = self._view.run
        if run.task_id not in (None, task):
            raise PlannerError(
                "E_STAGE",
                f"turn {self._turn} of '{run.run}' has the task '{run.task_id}' already",
                hint=f"create another tournament for it: git bo4 new --task {task}",
            )
        return task

    def _began(self, task: str) -> str:
        stage = self._view.run.stage("watch")
        if self._view.run.task_id != task or stage is None or _SENDING not in stage.facts:
            self._note("GATES_START", "WATCH_START", message=f"task {task}")
        elif stage.outcome == "begun" and stage.facts[_SENDING] is False:
            # What a killed process has noted is committed with what it was about to say.
            return task
        self._commit("begun", f"task {task}", task=task, facts={_SENDING: False})
        return task

    # -- polling --------------------------------------------------------------------------------------------
    def run(self, source: VariantSource, task: str, seconds: float) -> RunView:
        """Poll until the task has ended.

        Raises:
            PlannerError: as `watch`.
        """
        deadline = self._clock() + seconds
        self._progress(Step(f"waiting for {task}"))
        while True:
            self._progress(Tick())
            try:
                result = source.poll(task)
            except PlannerError as error:
                if error.code not in PASSING:
                    self._note("GATES_FAIL", "WATCH_ERROR", message=error.message)
                    self._commit("failed", error.message)
                    raise
                self._fault(error)
            else:
                if view := self._polled(result, task):
                    return view
            left = deadline - self._clock()
            if left <= 0:
                return self._late(seconds)
            self._sleep(min(self._pause, left))

    def _polled(self, result: PollResult, task: str) -> RunView | None:
        """Note the answer of a poll; return the run if it was the last one."""
        if not result.known:
            self._missing(task)
            return None
        self._lost_since = None
        is_over = result.state in FINAL and all(variant.state in FINAL for variant in result.variants)
        rows = polled_rows(self._view.variants, self._turn, result)
        if rows or result.reported != self._facts.get(_REPORTED):
            self._pause = self._times.interval
            text = states_text({**self._view.variants, **{row.key: row for row in rows}}, self._turn)
            message = f"{result.reported or result.state}: {text}"
            for note in result.notes:
                self._note("GATES_WARN", "WATCH_STATUS", message=note)
            self._note("GATES_WARN", "WATCH_STATUS", message=message, status=result.reported or result.state)
            self._progress(message)
            self._commit("begun", message, rows=rows, facts={_REPORTED: result.reported})
        else:
            self._pause = min(1.5 * self._pause, self._times.longest)
            self._heartbeat(result.reported or result.state)
        return self._end(result.state, result.reported) if is_over else None

    def _fault(self, error: PlannerError) -> None:
        """Note a fault that passes, and wait longer."""
        code = "WATCH_PARSE_ERROR" if error.code == "E_CLOUD_ANSWER" else "WATCH_COMMAND_ERROR"
        self._note("GATES_WARN", code, message=error.message, cause=error.code)
        self._progress(f"{error.code}: {error.message}")
        self._pause = min(2 * self._pause, self._times.longest_fault)
        self._commit_in_time()

    def _heartbeat(self, word: str) -> None:
        if self._clock() - self._noted_at >= self._times.heartbeat:
            self._note("GATES_WARN", "WATCH_HEARTBEAT", message=f"still {word}", status=word)
            self._commit_in_time()

    def _missing(self, task: str) -> None:
        """Note that the service does not have the task; it may list a new one later.

        Raises:
            PlannerError: E_CLOUD_TASK once it has been missing for long.
        """
        now = self._clock()
        if self._lost_since is None:
            self._lost_since = now
        self._pause = min(1.5 * self._pause, self._times.longest)
        message = f"the service does not have the task '{task}'"
        if now - self._lost_since < self._times.lost:
            if self._lost_since == now or now - self._noted_at >= self._times.heartbeat:
                self._note("GATES_WARN", "WATCH_NOT_FOUND", message=message)
            self._commit_in_time()
            return
        self._note("GATES_FAIL", "WATCH_ERROR", message=message)
        rows = closed_rows(self._view.variants, self._turn, "the service has forgotten the task")
        self._commit("failed", message, rows=rows)
        raise PlannerError("E_CLOUD_TASK", message, hint="see the service's list of tasks")

    def _late(self, seconds: float) -> RunView:
        """End the watch at its deadline; variants that are ready by then are used."""
        message = f"the deadline of {seconds:g} seconds has passed"
        self._note("GATES_FAIL", "WATCH_TIMEOUT", message=message)
        if not any(row.state in ("ready", "harvested") for row in self._view.current):
            self._commit("failed", message)
            raise PlannerError(
                "E_DEADLINE",
                f"no variant of '{self._store.name}' was ready within {seconds:g} seconds",
                hint=f"wait longer: git bo4 watch {self._store.name} --timeout SECONDS",
            )
        rows = closed_rows(self._view.variants, self._turn, "not ready at the deadline")
        self._commit("begun", message, rows=rows)
        return self._end("ready", "deadline")

    def _end(self, state: str, reported: str) -> RunView:
        """Record the end of the task.

        Raises:
            PlannerError: E_NO_VARIANT if no variant is ready.
        """
        text = states_text(self._view.variants, self._turn)
        if any(row.state in ("ready", "harvested") for row in self._view.current):
            self._note("GATES_PASS", "WATCH_READY", message=text)
            return self._commit("done", text)
        self._note("GATES_FAIL", "WATCH_ERROR", message=f"{reported or state}: {text}")
        self._commit("failed", f"{reported or state}: {text}")
        raise PlannerError(
            "E_NO_VARIANT",
            f"no variant of '{self._store.name}' is ready: the source reports '{reported or state}'",
            hint=f"git bo4 status {self._store.name}",
        )

    # -- events ---------------------------------------------------------------------------------------------
    @property
    def _facts(self) -> Mapping[str, Any]:
        stage = self._view.run.stage("watch")
        return stage.facts if stage else {}

    def _note(self, event: str, code: str, **detail: Any) -> None:
        self._noted_at = self._clock()
        facts = {"task": self._view.run.task_id, "turn": self._turn, **detail}
        kept = {name: value for name, value in facts.items() if value is not None}
        waiting = ((line.draft.event, line.draft.code, line.draft.detail) for line in self._journal.lines)
        # An earlier process may have been killed after it noted the same.
        if code in _OF_EACH_POLL or (event, code, kept) not in waiting:
            self._journal.add(EventDraft(event, code, kept, format_time(self._noted_at)))

    def _commit_in_time(self) -> None:
        if self._clock() - self._committed_at >= self._times.commit:
            stage = self._view.run.stage("watch")
            self._commit("begun", stage.message if stage else "")

    def _commit(
        self,
        outcome: StageOutcome,
        message: str,
        *,
        rows: tuple[Variant, ...] = (),
        task: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> RunView:
        """Write the journal's events and the state to the run's branch.

        Raises:
            PlannerError: E_STAGE if another turn has begun; what `RunStore.change` raises.
        """
        now, lines, name = format_time(self._clock()), tuple(self._journal.lines), self._journal.name

        def decide(view: RunView) -> RunChange | None:
            if view.run.turn.turn != self._turn:
                raise PlannerError(
                    "E_STAGE",
                    f"turn {view.run.turn.turn} of '{view.run.run}' has begun meanwhile",
                    hint=f"git bo4 watch {view.run.run}",
                )
            if view.run.is_done("watch"):
                # Another host has seen the end, and has noted it.
                return None
            old = view.run.stage("watch")
            before: Mapping[str, Any] = old.facts if old else {}
            journals = dict(before.get(_JOURNALS, {}))
            new = [line for line in lines if line.number > journals.get(name, 0)]
            if new:
                others = [item for item in journals.items() if item[0] != name]
                journals = dict([*others[-_MOST_JOURNALS:], (name, new[-1].number)])
            run = view.run.with_task(task) if task else view.run
            inputs = canonical_json.digest([self._turn, run.task_id])
            kept = {**before, **(facts or {}), _JOURNALS: journals}
            stage = Stage(self._turn, outcome, inputs, now, message[:4000], kept)
            if old is not None and replace(stage, at=old.at) == old and run == view.run and not (rows or new):
                return None
            current = [row for row in rows if not _is_harvested(view, row)]
            return RunChange(run.with_stage("watch", stage), current, events=[line.draft for line in new])

        self._view = self._store.change(decide, "watch")
        self._committed_at = self._clock()
        if lines:
            self._journal.clear(lines[-1].number)
        return self._view


def _is_harvested(view: RunView, row: Variant) -> bool:
    """Return whether a harvest has taken a variant meanwhile."""
    now = view.variants.get(row.key)
    return now is not None and now.state in ("harvested", "broken")
