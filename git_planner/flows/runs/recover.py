"""Find runs whose owner is gone, and end what is left of their agents. Knows no task, claim or variant."""

from __future__ import annotations

from git_planner.agents.contract import Tell
from git_planner.flows.runs import store
from git_planner.flows.runs.stop import end_agent
from git_planner.flows.runs.store import Run
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity


def abandoned_runs(repo: Repository, plan: str) -> list[Run]:
    """Return the runs of a plan that have not ended although their owner, a process of this host, is gone."""
    return [
        run
        for run in store.list_runs(repo, plan)
        if run.ended_at is None and not run.far and not run.delegated
    ]


def end_leftover_agent(repo: Repository, run: Run, tell: Tell) -> None:
    """End what is left of the agent of an abandoned run, and say so."""
    ended = end_agent(repo, run)
    if ended:
        tell(f"{run.task}: ended what was left of the agent: {', '.join(map(str, ended))}")


def abandonment_cause(run: Run) -> str:
    """Return why a run was abandoned, as its task and its folder tell it."""
    if run.process is not None and run.process.boot != process_identity.boot():
        return "the machine was restarted during its run"
    return "its delegator died during its run"
