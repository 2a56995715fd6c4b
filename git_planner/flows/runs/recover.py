"""Find runs whose delegator has died, and end the leftover processes of their agents."""

from __future__ import annotations

from git_planner.flows.runs import store
from git_planner.flows.runs.stop import end_agent
from git_planner.flows.runs.store import Run
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity
from git_planner.progress import Progress


def abandoned_runs(repo: Repository, plan: str) -> list[Run]:
    """Return the unfinished runs on tasks of a plan whose delegator is seen to have died."""
    runs = (run for run in store.list_runs(repo, plan) if run.ended_at is None and run.tournament is None)
    return [run for run in runs if run.delegator == "gone"]


def end_leftover_agent(repo: Repository, run: Run, progress: Progress) -> None:
    """End the leftover agent processes of an abandoned run."""
    ended = end_agent(repo, run)
    if ended:
        progress(f"{run.task}: ended leftover processes of the agent: {', '.join(map(str, ended))}")


def abandonment_cause(run: Run) -> str:
    """Return the cause to store for an abandoned run."""
    if run.is_remote:
        return "its delegator, which cannot be seen from here, let its claim expire"
    if run.process is not None and run.process.boot != process_identity.boot():
        return "the machine was restarted during its run"
    return "its delegator died during its run"
