"""Stop the run of a delegated task, or put its task back to work."""

from __future__ import annotations

from git_planner.agents.contract import Tell
from git_planner.errors import PlannerError
from git_planner.flows.delegation.recover import recover
from git_planner.flows.runs.heartbeat import check_liveness
from git_planner.flows.runs.inspect import RunReports, find_run, inspect_run
from git_planner.flows.runs.stop import end_agent
from git_planner.flows.tasks.edit import read_tasks
from git_planner.flows.tasks.edit import resume as put_back
from git_planner.gitio.repository import Repository

# Statuses in which a task waits for somebody, so that it can be delegated again.
_STOPPED = ("blocked", "needs_input", "agent_done", "review_ready")


def end(repo: Repository, run_id: str, tell: Tell) -> RunReports:
    """End the agent of a run, after checking that its processes are the ones that were started.

    A delegator that lives sees its agent end, and blocks the task; what a dead one left is brought to an end.

    Raises:
        PlannerError: E_RESULT; E_BUSY when the run is on another machine.
    """
    run = find_run(repo, run_id)
    if run.far:
        raise PlannerError(
            "E_BUSY",
            f"run '{run.run}' is on '{run.host}', whose processes cannot be seen from here",
            hint=f"run 'git plan runs --end --run {run.run}' there",
        )
    ended = end_agent(repo, run)
    if not run.delegated:
        recover(repo, run.plan, tell)
    return RunReports((inspect_run(repo, find_run(repo, run_id)),), tuple(ended))


def again(repo: Repository, run_id: str, tell: Tell) -> RunReports:
    """Put the task of a run back to work, so that it can be delegated again; the agent is not started here.

    Raises:
        PlannerError: E_RESULT; E_BUSY while the run goes on; E_TRANSITION when the task cannot be put back.
    """
    run = find_run(repo, run_id)
    if check_liveness(repo, run) in ("alive", "stalled"):
        raise PlannerError(
            "E_BUSY",
            f"run '{run.run}' goes on, by process {run.process.pid if run.process else '?'} on '{run.host}'",
            hint=f"end it first with 'git plan runs --end --run {run.run}'",
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
    return RunReports((inspect_run(repo, find_run(repo, run_id)),), again=command)
