"""`git plan delegate` and `git plan doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from git_planner.agents.contract import SANDBOXES
from git_planner.cli.options import SECONDS, claim_remote_options, json_option, plan_option, shared_remote
from git_planner.cli.output import emit, say, tell
from git_planner.gitio.repository import open_repository

if TYPE_CHECKING:
    from git_planner.flows.delegation.delegate import Delegated


IMPLEMENTERS = ("codex", "command", "patches")
APPROVALS = ("never", "untrusted", "on-failure", "on-request")


@click.command()
@click.option("--task", "task", metavar="TASK", help="This task, and no other.")
@click.option(
    "--max-tasks",
    "most",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Begin at most N tasks.",
)
@click.option(
    "--parallel",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="K",
    help="Have up to K agents work at once.",
)
@click.option("--impl", "implementer", type=click.Choice(IMPLEMENTERS), help="Who does the work.")
@click.option("--model", metavar="M", help="The agent's model.")
@click.option("--effort", metavar="E", help="How hard its model shall think.")
@click.option(
    "--on", "start", metavar="REF", help="Where the work starts; else what it builds on, or the base."
)
@click.option(
    "--timeout",
    "seconds",
    type=SECONDS,
    metavar="SECONDS",
    help="One deadline for an agent's launch, work and result.",
)
@click.option("--sandbox", type=click.Choice(SANDBOXES), help="What confines the agent.")
@click.option(
    "--approval", type=click.Choice(APPROVALS), default="never", help="Only 'never' can be honoured."
)
@click.option("--allow-danger", is_flag=True, help="Confine the agent by nothing; each time anew.")
@claim_remote_options
@click.option("--dry-run", is_flag=True, help="Only say what would be begun.")
@plan_option
@json_option
def delegate(*, remote: str | None, no_remote: bool, as_json: bool, **given: Any) -> int:
    """Give ready tasks to agents, each in a worktree of its own, and take in what they say.

    The status is 0 when every task that was begun is done, or none was ready; else 1.
    """
    from git_planner.flows.delegation import delegate as flow

    repo = open_repository()
    where = None if no_remote else remote or shared_remote(repo)
    done = flow.delegate(repo, flow.Options(remote=where, **given), tell)
    if as_json:
        emit(done.document())
    else:
        for line in _lines(done, dry_run=given["dry_run"]):
            say(line)
    return done.exit


def _lines(done: Delegated, *, dry_run: bool) -> Iterator[str]:
    for fault in done.faults:
        yield f"{fault.severity}: {fault.task or done.plan}: {fault.words}"
    for task in done.would:
        yield f"would begin {task.id}: {task.title}"
    for run in done.recovered:
        yield f"{run.task}: {run.outcome}, from the earlier run {run.run}"
    for run in done.runs:
        where = f" on '{run.branch}'" if run.commit else ""
        yield f"{run.task}: {run.outcome}{where}{f': {run.reason}' if run.reason else ''}"
    for name, reason in done.skipped:
        yield f"{name}: skipped: {reason}"
    if not (done.faults or done.would or done.runs or done.skipped):
        yield f"no task of the plan '{done.plan}' {'would be begun' if dry_run else 'is ready'}"
