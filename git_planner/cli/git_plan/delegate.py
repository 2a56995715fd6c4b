"""`git plan delegate`: give ready tasks to agents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from git_planner.cli import options
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository

if TYPE_CHECKING:
    from git_planner.flows.delegation.delegate import DelegationResult

APPROVALS = ("never", "untrusted", "on-failure", "on-request")


@click.command()
@click.option(
    "--task",
    metavar="TASK",
    help="Delegate only this task.",
    shell_complete=options.candidates("tasks"),
)
@options.max_tasks_option
@click.option(
    "--parallel",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="K",
    help="Run up to K agents at once.",
)
@options.implementer_option
@options.model_option
@options.effort_option
@options.from_option("the task's dependencies, then the base branch")
@options.timeout_option("each agent, from its launch to its result")
@options.sandbox_option
@click.option(
    "--approval",
    type=click.Choice(APPROVALS),
    default="never",
    help="Approval mode of the agent; any other than 'never' is refused.",
)
@options.allow_danger_option
@options.claim_remote_options
@options.dry_run_option
@options.plan_option
@options.json_option
def delegate(
    *, remote: str | None, no_remote: bool, max_tasks: int, from_ref: str | None, as_json: bool, **given: Any
) -> int:
    """Give ready tasks to agents, each in a worktree of its own, and collect their results.

    Exit with 0 when every task that was started is done or none was ready, else with 1.
    """
    from git_planner.flows.delegation import delegate as flow

    repo = start_in_repository()
    where = None if no_remote else remote or options.shared_remote(repo)
    request = flow.DelegateOptions(remote=where, max_tasks=max_tasks, start=from_ref, **given)
    done = flow.delegate(repo, request, tell)
    if as_json:
        emit(done.document())
    else:
        for line in _delegated_lines(done, dry_run=given["dry_run"]):
            say(line)
    return done.exit


def _delegated_lines(done: DelegationResult, *, dry_run: bool) -> Iterator[str]:
    for fault in done.faults:
        yield f"{fault.severity}: {fault.task or done.plan}: {fault.message}"
    for task in done.would:
        yield f"would start {task.id}: {task.title}"
    for run in done.recovered:
        yield f"{run.task}: {run.outcome}, from the earlier run {run.run}"
    for run in done.runs:
        where = f" on '{run.branch}'" if run.commit else ""
        yield f"{run.task}: {run.outcome}{where}{f': {run.reason}' if run.reason else ''}"
    for lines in done.questions:
        yield from lines
    for name, reason in done.skipped:
        yield f"{name}: skipped: {reason}"
    if not (done.faults or done.would or done.runs or done.skipped):
        yield f"no task of the plan '{done.plan}' {'would be started' if dry_run else 'is ready'}"
