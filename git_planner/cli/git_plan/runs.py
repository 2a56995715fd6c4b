"""`git plan runs`: show delegated runs; stop one, or requeue its task."""

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
@click.option("--run", "run_id", metavar="RUN", help="Show this run in full.")
@click.option("--end", "is_end", is_flag=True, help="Stop the run's agent, after checking its identity.")
@click.option("--rerun", is_flag=True, help="Requeue the run's task, and print how to delegate it again.")
@plan_option
@json_option
def runs(*, run_id: str | None, is_end: bool, rerun: bool, plan: str | None, as_json: bool) -> int:
    """Show delegated runs: start, last output and whether they are alive; stop or requeue one.

    A run is 'alive', 'stalled' (its heartbeat has stopped), 'dead' (its delegator is gone) or 'ended'.
    """
    from git_planner.flows.delegation import stop_run
    from git_planner.flows.runs.inspect import inspect_runs

    repo = open_repository()
    if (is_end or rerun) and run_id is None:
        raise click.UsageError("'--end' and '--rerun' need '--run'")
    if run_id is not None and is_end:
        examined = stop_run.stop_run(repo, run_id, tell)
        examined = stop_run.requeue_run(repo, run_id, tell) if rerun else examined
    elif run_id is not None and rerun:
        examined = stop_run.requeue_run(repo, run_id, tell)
    else:
        examined = inspect_runs(repo, plan, run_id)
    if as_json:
        emit(examined.document())
    else:
        for line in examined_lines(examined, full=run_id is not None):
            say(line)
    return examined.exit


def examined_lines(examined: RunReports, *, full: bool) -> Iterator[str]:
    """Yield the lines that show runs; `full` shows also what matters only to one run."""
    if not examined.findings:
        yield "no agent has worked on a task here yet"
    for finding in examined.findings:
        yield from _finding_lines(finding, full=full)
    if examined.ended:
        yield f"ended: {', '.join(map(str, examined.ended))}"
    if examined.again:
        yield f"run it again: {examined.again}"


def _finding_lines(finding: RunReport, *, full: bool) -> Iterator[str]:
    run = finding.run
    outcome = f", {run.outcome}" if run.outcome else ""
    yield f"{run.run}  {finding.verdict}{outcome}  {run.plan} {run.task}  {run.agent} since {run.started_at}"
    if full or finding.verdict != "ended":
        pid = run.process.pid if run.process else "?"
        yield f"  delegator {pid} on '{run.host}', last heartbeat {finding.beat or 'never'}"
        if run.confined_by is not None:
            yield f"  sandbox: {run.confined_by}"
        yield f"  agent's processes: {', '.join(map(str, finding.agent)) or 'none'}"
        yield f"  worktree {run.worktree or 'not made'}, logs in {finding.folder}"
        yield from (f"  | {line}" for line in finding.words)
    yield from finding.question
    if full and run.reason:
        yield f"  reason: {run.reason}"
    if finding.resume and (full or finding.verdict != "ended"):
        yield f"  continue by hand: {finding.resume}"
