"""`git plan runs`: show delegated runs; stop one, or requeue its task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from git_planner.cli.options import json_option, plan_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository

if TYPE_CHECKING:
    from git_planner.flows.board.sessions.list_sessions import SessionView
    from git_planner.flows.runs.inspect import RunReport, RunReports


@click.command()
@click.option("--run", "run_id", metavar="RUN", help="Show this run in full.")
@click.option("--end", "is_end", is_flag=True, help="Stop the run's agent, after checking its identity.")
@click.option("--rerun", is_flag=True, help="Requeue the run's task, and print how to delegate it again.")
@plan_option
@json_option
def runs(*, run_id: str | None, is_end: bool, rerun: bool, plan: str | None, as_json: bool) -> int:
    """Show runs of tasks and planners: start, last output and whether they are alive; stop or requeue one.

    A run is 'alive', 'stalled' (its heartbeat has stopped), 'dead' (its delegator is gone) or 'ended'.
    """
    from git_planner.flows.board.sessions.list_runs import RunList, list_all_runs, refuse_planner
    from git_planner.flows.delegation import stop_run

    repo = start_in_repository()
    if not is_end and not rerun:
        listed = list_all_runs(repo, plan, run_id)
    elif run_id is None:
        raise click.UsageError("'--end' and '--rerun' need '--run'")
    else:
        refuse_planner(repo, run_id)
        reports = stop_run.stop_run(repo, run_id, tell) if is_end else None
        listed = RunList(stop_run.requeue_run(repo, run_id, tell) if rerun or reports is None else reports)
    if as_json:
        emit(listed.document())
    else:
        for view in listed.planners:
            say(planner_line(view))
        if listed.reports.findings or not listed.planners:
            for line in examined_lines(listed.reports, full=run_id is not None):
                say(line)
    return listed.exit


def planner_line(view: SessionView) -> str:
    """Return the line that shows the session of a planner."""
    session = view.session.session
    verdict = session.state if view.seen == "idle" else view.seen
    outcome = f", {session.outcome}" if session.outcome else ""
    since = session.started_at or session.reserved_at
    return f"{session.session}  {verdict}{outcome}  {session.plan} planner  {session.client} since {since}"


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
