"""Runs as a delegator of this process would have stored them."""

from __future__ import annotations

import os
from dataclasses import replace

from git_planner.flows.board.sessions.session_store import HostSession
from git_planner.flows.runs.store import Run, run_folder, save_run
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity
from git_planner.host.machine import host_name
from git_planner.host.terminals.terminal import Terminal
from git_planner.rules.board.session import Session
from tests.support.lab import Lab


def new_run(number: int) -> Run:
    """Return a run of a task that this process delegates."""
    return Run(
        run=f"20261130T1200{number:02d}Z-abcdefgh",
        plan="default",
        task=f"task_{number:03d}",
        uid="uid00001",
        attempt=1,
        iteration=number,
        base="0" * 40,
        branch=f"iter/{number:04d}-x",
        start="0" * 40,
        host=host_name(),
        process=process_identity.identity(os.getpid()),
        agent="codex",
        model="m",
        sandbox=None,
        approval="never",
        danger=False,
        reports=True,
        interval=10.0,
        seconds=1800.0,
        started_at="2026-11-30T12:00:00Z",
    )


def session_of(run: Run) -> HostSession:
    """Return the session of a run, in a window of tmux."""
    session = Session(
        session=run.run,
        name=f"worker-{run.task}",
        kind="worker",
        plan=run.plan,
        state="running",
        client="codex",
        backend="tmux",
        host=run.host,
        reserved_at=run.started_at,
        task=run.task,
    )
    return HostSession(session, run.process, Terminal("tmux", "git-planner", "$1", "@1", None))


def save_runs(repo: Repository, count: int) -> list[Run]:
    """Store runs of the first tasks."""
    return [save_run(repo, new_run(number)) for number in range(1, count + 1)]


def store_run(
    lab: Lab, task: str, output: str = "", process: process_identity.ProcessIdentity | None = None
) -> Run:
    """Store a run of a task, with what its agent printed; this process delegates it unless one is named."""
    run = new_run(int(task.removeprefix("task_")))
    run = replace(run, process=process or run.process)
    with lab.entered():
        save_run(lab.repo, run)
        (run_folder(lab.repo, run.run) / "stdout").write_text(output)
    return run
