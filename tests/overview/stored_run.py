"""Runs as a delegator of this process would have stored them."""

from __future__ import annotations

import os

from git_planner.flows.runs.store import Run, run_folder, save_run
from git_planner.host import process_identity
from git_planner.host.machine import host_name
from tests.support.lab import Lab


def store_run(lab: Lab, task: str, output: str = "") -> Run:
    """Store a run of a task that this process delegates, with what its agent printed."""
    number = int(task.removeprefix("task_"))
    run = Run(
        run=f"20261130T1200{number:02d}Z-abcdefgh",
        plan="default",
        task=task,
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
    with lab.entered():
        save_run(lab.repo, run)
        (run_folder(lab.repo, run.run) / "stdout").write_text(output)
    return run
