"""`git plan doctor`: what runs, since when, its last words, and whether it is alive; ending it, and again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from git_planner.agents.contract import Tell
from git_planner.errors import DONE, NO, PlannerError
from git_planner.flows.delegation.recover import recover
from git_planner.flows.runs import store
from git_planner.flows.runs.store import Run
from git_planner.flows.tasks.edit import read_tasks
from git_planner.flows.tasks.edit import resume as put_back
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity

# Statuses in which a task waits for somebody, so that it can be delegated again.
_STOPPED = ("blocked", "needs_input", "agent_done", "review_ready")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known about one run. `agent` are the numbers of its agent's living processes."""

    run: Run
    verdict: str
    beat: str | None
    agent: tuple[int, ...]
    words: tuple[str, ...]
    thread: str | None
    folder: str

    @property
    def resume(self) -> str | None:
        """How to go on with the agent's thread by hand."""
        if self.thread is None or self.run.agent != "codex":
            return None
        return f"codex exec resume {self.thread}"

    def document(self) -> dict[str, Any]:
        """The finding as JSON."""
        return {
            "run": self.run.document(),
            "verdict": self.verdict,
            "heartbeat": self.beat,
            "agent": list(self.agent),
            "last_words": list(self.words),
            "thread": self.thread,
            "resume": self.resume,
            "folder": self.folder,
        }


@dataclass(frozen=True, slots=True)
class Examined:
    """All that was looked at. `ended` are processes that were, `again` the command that runs it again."""

    findings: tuple[Finding, ...]
    ended: tuple[int, ...] = ()
    again: str | None = None

    @property
    def exit(self) -> int:
        """1 when a run is stalled or dead."""
        return NO if any(each.verdict in ("stalled", "dead") for each in self.findings) else DONE

    def document(self) -> dict[str, Any]:
        """The result as one JSON document."""
        return {
            "schema": "git-planner/runs@1",
            "runs": [each.document() for each in self.findings],
            "ended": list(self.ended),
            "again": self.again,
        }


def examine(repo: Repository, plan: str | None, run_id: str | None, *, most: int = 20) -> Examined:
    """Look at runs: at one, or at all that have not ended and the last ones that have.

    Args:
        repo: the repository.
        plan: only those of one plan; all when None.
        run_id: only this one.
        most: how many of those that have ended are told.

    Raises:
        PlannerError: E_RESULT when there is no such run here.
    """
    if run_id is not None:
        return Examined((_finding(repo, find(repo, run_id)),))
    every = store.listing(repo, plan)
    late = [each for each in every if each.ended_at is not None][-most:]
    shown = [each for each in every if each.ended_at is None or each in late]
    return Examined(tuple(_finding(repo, each) for each in shown))


def find(repo: Repository, run_id: str) -> Run:
    """One run by its id.

    Raises:
        PlannerError: E_RESULT.
    """
    run = store.load(store.folder(repo, run_id)) if store.is_run_id(run_id) else None
    if run is None:
        raise PlannerError(
            "E_RESULT", f"there is no run '{run_id[:80]}' here", hint="list them with 'git plan doctor'"
        )
    return run


def end(repo: Repository, run_id: str, tell: Tell) -> Examined:
    """End the agent of a run, after checking that its processes are the ones that were started.

    A delegator that lives sees its agent end, and blocks the task; what a dead one left is brought to an end.

    Raises:
        PlannerError: E_RESULT; E_BUSY when the run is on another machine.
    """
    run = find(repo, run_id)
    if run.far:
        raise PlannerError(
            "E_BUSY",
            f"run '{run.run}' is on '{run.host}', whose processes cannot be seen from here",
            hint=f"run 'git plan doctor --end --run {run.run}' there",
        )
    ended = store.end_agent(repo, run)
    if not run.delegated:
        recover(repo, run.plan, tell)
    return Examined((_finding(repo, find(repo, run_id)),), tuple(ended))


def again(repo: Repository, run_id: str, tell: Tell) -> Examined:
    """Put the task of a run back to work, so that it can be delegated again; the agent is not started here.

    Raises:
        PlannerError: E_RESULT; E_BUSY while the run goes on; E_TRANSITION when the task cannot be put back.
    """
    run = find(repo, run_id)
    if store.verdict(repo, run) in ("alive", "stalled"):
        raise PlannerError(
            "E_BUSY",
            f"run '{run.run}' goes on, by process {run.process.pid if run.process else '?'} on '{run.host}'",
            hint=f"end it first with 'git plan doctor --end --run {run.run}'",
        )
    recover(repo, run.plan, tell)
    task = read_tasks(repo, run.plan).task(run.task)
    if task.status in _STOPPED:
        put_back(repo, run.plan, task.id, (), at=repo.now(), by=repo.ident())
    elif task.status != "todo":
        raise PlannerError(
            "E_TRANSITION",
            f"'{task.id}' is {task.status}",
            hint=f"see 'git plan task show {task.id} --plan {run.plan}'",
        )
    command = f"git plan delegate --task {task.id} --plan {run.plan}"
    return Examined((_finding(repo, find(repo, run_id)),), again=command)


def _finding(repo: Repository, run: Run) -> Finding:
    who = store.agent_of(repo, run)
    living = process_identity.left(who) if who is not None and not run.far else []
    return Finding(
        run=run,
        verdict=store.verdict(repo, run),
        beat=store.last_beat(repo, run),
        agent=tuple(living),
        words=tuple(store.last_words(repo, run)),
        thread=store.thread_of(repo, run),
        folder=os.fspath(store.folder(repo, run.run)),
    )
