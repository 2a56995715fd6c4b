"""`git plan task result`, in a module of its own: whatever else is done with tasks loads it, too."""

from __future__ import annotations

from collections.abc import Sequence

import click

from git_planner.cli.options import candidates, json_option
from git_planner.cli.output import emit, say
from git_planner.errors import DONE
from git_planner.gitio.repository import open_repository
from git_planner.rules.delegation.outcome import RESULT_STATUSES, ResultStatus


@click.command(short_help="Say how the work on a task ended.")
@click.argument("task_id", metavar="TASK", shell_complete=candidates("tasks"))
@click.option("--run", "run_id", required=True, metavar="RUN", help="The run, as in 'GIT_PLANNER_RUN'.")
@click.option("--status", type=click.Choice(RESULT_STATUSES), required=True, help="How it ended.")
@click.option("--summary", required=True, metavar="TEXT", help="What was done, or why not, in a line.")
@click.option("--detail", "details", multiple=True, metavar="TEXT", help="More about it; may be repeated.")
@click.option("--next", "next_", metavar="TEXT", help="What you would do next.")
@click.option("--question", metavar="TEXT", help="What you must know to go on; with 'needs_input'.")
@json_option
def result(
    *,
    task_id: str,
    run_id: str,
    status: ResultStatus,
    summary: str,
    details: Sequence[str],
    next_: str | None,
    question: str | None,
    as_json: bool,
) -> int:
    """Say how the work of a run ended. For the agent itself; it counts once its process has ended."""
    from git_planner.flows.delegation.agent_result import Words, give

    words = Words(status, summary, tuple(details), next_, question)
    given = give(open_repository(), task_id, run_id, words)
    if as_json:
        emit(given.document())
    else:
        say(f"{given.task}: {given.status}, in run {given.run}")
    return DONE
