"""Inspect runs: state, start, stderr tail and living agent processes."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from git_planner import atomic_file, redact
from git_planner.agents.run_program import STDERR, STDOUT
from git_planner.errors import DONE, NO, PlannerError
from git_planner.flows.runs import store
from git_planner.flows.runs.heartbeat import check_liveness, last_heartbeat
from git_planner.flows.runs.stop import agent_process
from git_planner.flows.runs.store import OUT, RESULT, Run, run_folder
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity

_TAIL = 64 * 1024
_HEAD = 256 * 1024


@dataclass(frozen=True, slots=True)
class RunReport:
    """State of one run. `agent` holds the process ids of its agent that are alive."""

    run: Run
    verdict: str
    beat: str | None
    agent: tuple[int, ...]
    words: tuple[str, ...]
    thread: str | None
    folder: str
    question: tuple[str, ...] = ()

    @property
    def resume(self) -> str | None:
        """Return the command that resumes the agent's thread by hand."""
        if self.thread is None or self.run.agent != "codex":
            return None
        return f"codex exec resume {self.thread}"

    def document(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "run": self.run.document(),
            "verdict": self.verdict,
            "heartbeat": self.beat,
            "agent": list(self.agent),
            "last_words": list(self.words),
            "thread": self.thread,
            "resume": self.resume,
            "folder": self.folder,
            "question": list(self.question),
        }


@dataclass(frozen=True, slots=True)
class RunReports:
    """Reports of runs. `ended` are the ids of ended processes, `again` the command that runs it again."""

    findings: tuple[RunReport, ...]
    ended: tuple[int, ...] = ()
    again: str | None = None

    @property
    def exit(self) -> int:
        """Return exit status 1 when a run is stalled or dead."""
        return NO if any(report.verdict in ("stalled", "dead") for report in self.findings) else DONE

    def document(self) -> dict[str, Any]:
        """Return the reports as one JSON document."""
        return {
            "schema": "git-planner/runs@1",
            "runs": [report.document() for report in self.findings],
            "ended": list(self.ended),
            "again": self.again,
        }


def inspect_runs(repo: Repository, plan: str | None, run_id: str | None, *, most: int = 20) -> RunReports:
    """Report on one run, or on all unfinished runs and the last finished ones.

    Args:
        repo: the repository.
        plan: only those of one plan; all when None.
        run_id: only this one.
        most: maximum number of finished runs.

    Raises:
        PlannerError: E_RESULT when there is no such run here.
    """
    if run_id is not None:
        return RunReports((inspect_run(repo, find_run(repo, run_id)),))
    runs = store.list_runs(repo, plan)
    ended = [run for run in runs if run.ended_at is not None][-most:]
    shown = [run for run in runs if run.ended_at is None or run in ended]
    return RunReports(tuple(inspect_run(repo, run) for run in shown))


def find_run(repo: Repository, run_id: str) -> Run:
    """Return one run by its id.

    Raises:
        PlannerError: E_RESULT.
    """
    run = store.load_run(store.run_folder(repo, run_id)) if store.is_run_id(run_id) else None
    if run is None:
        raise PlannerError(
            "E_RESULT", f"there is no run '{run_id[:80]}' here", hint="list them with 'git plan runs'"
        )
    return run


def inspect_run(repo: Repository, run: Run) -> RunReport:
    """Report on one run."""
    agent = agent_process(repo, run)
    living = process_identity.living_pids(agent) if agent is not None and not run.is_remote else []
    return RunReport(
        run=run,
        verdict=check_liveness(repo, run),
        beat=last_heartbeat(repo, run),
        agent=tuple(living),
        words=tuple(output_tail(repo, run)),
        thread=agent_thread(repo, run),
        folder=os.fspath(run_folder(repo, run.run)),
        question=tuple(question_lines(repo, run)),
    )


def output_tail(repo: Repository, run: Run, most: int = 10) -> list[str]:
    """Return the last lines that a run's agent printed on stderr and stdout."""
    tail: list[str] = []
    for name in (STDERR, STDOUT):
        with suppress(OSError), atomic_file.open_regular(run_folder(repo, run.run) / name) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            lines = redact.mask_text(file.read().decode(errors="replace")).splitlines()
            tail = [*tail, *[line[:500] for line in lines if line.strip()][-most:]]
    return tail[-most:]


def question_lines(repo: Repository, run: Run) -> list[str]:
    """Return the question that a run ended with, and how to answer it; empty when it asked none."""
    if run.outcome != "needs_input":
        return []
    question = None
    with (
        suppress(OSError, ValueError, TypeError),
        atomic_file.open_regular(run_folder(repo, run.run) / OUT / RESULT) as file,
    ):
        result = json.loads(file.read(_HEAD))
        question = result.get("question") or result.get("summary") if isinstance(result, dict) else None
    command = f"{run.task} --plan {run.plan}"
    return [
        f"  question: {redact.mask_text(' '.join(str(question or run.reason).split()))[:2000]}",
        f"  answer it: git plan task answer {run.task} TEXT --plan {run.plan}",
        f"  then:      git plan task resume {command}",
    ]


def agent_thread(repo: Repository, run: Run) -> str | None:
    """Return the thread id of a run's agent: as stored at its end, before that from codex's output."""
    if run.thread is not None:
        return run.thread
    from git_planner.agents.codex.events import CodexEvents

    events = CodexEvents()
    with suppress(OSError), atomic_file.open_regular(run_folder(repo, run.run) / STDOUT) as file:
        for line in file.read(_HEAD).splitlines():
            events.read_line(line)
    return events.thread
