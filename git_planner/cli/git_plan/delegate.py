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
    from git_planner.flows.delegation.inspect_runs import Examined, Finding

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


@click.command()
@click.option("--run", "run_id", metavar="RUN", help="This run, in full.")
@click.option("--end", "is_end", is_flag=True, help="End its agent, once it is sure that it is the agent.")
@click.option("--rerun", is_flag=True, help="Put its task back to work, and say how to delegate it again.")
@plan_option
@json_option
def doctor(*, run_id: str | None, is_end: bool, rerun: bool, plan: str | None, as_json: bool) -> int:
    """Say what agents do: since when, their last words, and whether they are alive.

    A run is 'alive', 'stalled' (no sign of life any more), 'dead' (its delegator is gone) or 'ended'.
    """
    from git_planner.flows.delegation import inspect_runs as flow

    repo = open_repository()
    if (is_end or rerun) and run_id is None:
        raise click.UsageError("'--end' and '--rerun' need '--run'")
    if run_id is not None and is_end:
        found = flow.end(repo, run_id, tell)
        found = flow.again(repo, run_id, tell) if rerun else found
    elif run_id is not None and rerun:
        found = flow.again(repo, run_id, tell)
    else:
        found = flow.examine(repo, plan, run_id)
    if as_json:
        emit(found.document())
    else:
        for line in _found(found, full=run_id is not None):
            say(line)
    return found.exit


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


def _found(found: Examined, *, full: bool) -> Iterator[str]:
    if not found.findings:
        yield "no agent has worked on a task here yet"
    for each in found.findings:
        yield from _finding(each, full=full)
    if found.ended:
        yield f"ended: {', '.join(map(str, found.ended))}"
    if found.again:
        yield f"run it again: {found.again}"


def _finding(each: Finding, *, full: bool) -> Iterator[str]:
    run = each.run
    outcome = f", {run.outcome}" if run.outcome else ""
    yield f"{run.run}  {each.verdict}{outcome}  {run.plan} {run.task}  {run.agent} since {run.started_at}"
    if full or each.verdict != "ended":
        pid = run.process.pid if run.process else "?"
        yield f"  delegator {pid} on '{run.host}', last heartbeat {each.beat or 'never'}"
        yield f"  agent's processes: {', '.join(map(str, each.agent)) or 'none'}"
        yield f"  worktree {run.worktree or 'not made'}, logs in {each.folder}"
        yield from (f"  | {line}" for line in each.words)
    if full and run.reason:
        yield f"  reason: {run.reason}"
    if each.resume and (full or each.verdict != "ended"):
        yield f"  go on by hand: {each.resume}"
