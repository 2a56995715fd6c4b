"""Stop the run of a delegated task, or requeue its task."""

from __future__ import annotations

from git_planner.errors import PlannerError
from git_planner.flows.delegation.recover import recover_runs
from git_planner.flows.runs.heartbeat import check_liveness
from git_planner.flows.runs.inspect import RunReports, find_run, inspect_run
from git_planner.flows.runs.stop import end_agent
from git_planner.flows.tasks.edit import read_tasks
from git_planner.flows.tasks.edit import resume_task as put_back
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress

# Statuses of a task that waits for a person, and can be delegated again.
_REQUEUEABLE = ("blocked", "needs_input", "agent_done", "review_ready")


def stop_run(repo: Repository, run_id: str, progress: Progress) -> RunReports:
    """Stop the agent of a run, after checking that its processes are the ones that were started.

    A live delegator notices the end of its agent and blocks the task; the run of a dead one is recovered.

    Raises:
        PlannerError: E_RESULT; E_BUSY when the run is on another machine.
    """
    run = find_run(repo, run_id)
    if run.is_remote:
        raise PlannerError(
            "E_BUSY",
            f"run '{run.run}' is on '{run.host}', on another machine or in another container: its processes "
            "cannot be seen from here",
            hint=f"run 'git plan runs --end --run {run.run}' there",
        )
    ended_pids = end_agent(repo, run)
    if not run.has_delegator:
        recover_runs(repo, run.plan, progress)
    return RunReports((inspect_run(repo, find_run(repo, run_id)),), tuple(ended_pids))


def requeue_run(repo: Repository, run_id: str, progress: Progress) -> RunReports:
    """Requeue the task of a run, so that it can be delegated again; no agent is started.

    Raises:
        PlannerError: E_RESULT; E_BUSY while the run is active; E_TRANSITION when the task cannot be requeued.
    """
    run = find_run(repo, run_id)
    if check_liveness(repo, run) in ("alive", "stalled"):
        raise PlannerError(
            "E_BUSY",
            f"run '{run.run}' is active: process {run.process.pid if run.process else '?'} on '{run.host}'",
            hint=f"end it first with 'git plan runs --end --run {run.run}'",
        )
    recover_runs(repo, run.plan, progress)
    task = read_tasks(repo, run.plan).task(run.task)
    if task.status in _REQUEUEABLE:
        put_back(repo, run.plan, task.id, (), at=repo.now(), by=repo.ident())
    elif task.status != "todo":
        raise PlannerError(
            "E_TRANSITION",
            f"'{task.id}' is {task.status}",
            hint=f"see 'git plan task show {task.id} --plan {run.plan}'",
        )
    command = f"git plan delegate --task {task.id} --plan {run.plan}"
    return RunReports((inspect_run(repo, find_run(repo, run_id)),), again=command)
