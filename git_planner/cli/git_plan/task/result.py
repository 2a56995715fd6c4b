"""`git plan task result`: how an agent reports the end of its work."""

from __future__ import annotations

from collections.abc import Sequence

import click

from git_planner.cli.git_plan.task.options import task_argument
from git_planner.cli.options import details_option, json_option, next_step_option, summary_option
from git_planner.cli.output import emit, say
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE
from git_planner.rules.delegation.outcome import RESULT_STATUSES, ResultStatus


@click.command(short_help="Report how the work on a task ended.")
@task_argument
@click.option(
    "--run", "run_id", required=True, metavar="RUN", help="Run to report on, as in 'GIT_PLANNER_RUN'."
)
@click.option("--status", type=click.Choice(RESULT_STATUSES), required=True, help="Outcome of the work.")
@summary_option
@details_option
@next_step_option
@click.option("--question", metavar="TEXT", help="Question to answer first; with 'needs_input'.")
@json_option
def result(
    *,
    task_id: str,
    run_id: str,
    status: ResultStatus,
    summary: str,
    details: Sequence[str],
    next_step: str | None,
    question: str | None,
    as_json: bool,
) -> int:
    """Report how the work of a run ended; called by the agent, read once its process has ended."""
    from git_planner.flows.delegation.agent_result import AgentReport, submit_result

    words = AgentReport(status, summary, tuple(details), next_step, question)
    given = submit_result(start_in_repository(), task_id, run_id, words)
    if as_json:
        emit(given.document())
    else:
        say(f"{given.task}: {given.status}, in run {given.run}")
    return DONE
