"""`git plan doctor`: show the runs of agents; stop one, or put its task back to work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from git_planner.cli.options import json_option, plan_option
from git_planner.cli.output import emit, say, tell
from git_planner.gitio.repository import open_repository

if TYPE_CHECKING:
    from git_planner.flows.runs.inspect import RunReport, RunReports


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
    from git_planner.flows.delegation import stop_run
    from git_planner.flows.runs.inspect import inspect_runs

    repo = open_repository()
    if (is_end or rerun) and run_id is None:
        raise click.UsageError("'--end' and '--rerun' need '--run'")
    if run_id is not None and is_end:
        found = stop_run.end(repo, run_id, tell)
        found = stop_run.again(repo, run_id, tell) if rerun else found
    elif run_id is not None and rerun:
        found = stop_run.again(repo, run_id, tell)
    else:
        found = inspect_runs(repo, plan, run_id)
    if as_json:
        emit(found.document())
    else:
        for line in _found(found, full=run_id is not None):
            say(line)
    return found.exit


def _found(found: RunReports, *, full: bool) -> Iterator[str]:
    if not found.findings:
        yield "no agent has worked on a task here yet"
    for each in found.findings:
        yield from _finding(each, full=full)
    if found.ended:
        yield f"ended: {', '.join(map(str, found.ended))}"
    if found.again:
        yield f"run it again: {found.again}"


def _finding(each: RunReport, *, full: bool) -> Iterator[str]:
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
