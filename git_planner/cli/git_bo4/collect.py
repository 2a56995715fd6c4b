"""`git bo4 watch` and `harvest`: wait for the variants of a source, archive and commit them."""

from __future__ import annotations

import click

from git_planner.cli.git_bo4.runs import run_argument, show_view
from git_planner.cli.options import engine_options, json_option
from git_planner.cli.output import hush, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE

send_again_option = click.option(
    "--send-again", "again", is_flag=True, help="Send the prompt although it may have been sent already."
)
watch_timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Time limit for the wait (default: the setting 'watch_timeout', 6 hours).",
)


@click.command()
@run_argument
@click.option("--task", metavar="TASK", help="Task that the cloud service has already.")
@send_again_option
@watch_timeout_option
@engine_options
@json_option
def watch(*, name: str | None, task: str | None, again: bool, timeout: float | None, as_json: bool) -> int:
    """Send the prompt of RUN to its source, and wait until the variants are ready.

    The default is the run that was created last. Faults of the service are waited out until the deadline.
    The same command again goes on after an interruption.
    """
    from git_planner.flows.tournament.collecting.watch import watch as wait_for_variants
    from git_planner.flows.tournament.run_store import latest_run

    repo = start_in_repository()
    progress = hush if as_json else tell
    run = name or latest_run(repo)
    show_view(wait_for_variants(repo, run, progress, seconds=timeout, task=task, again=again), as_json)
    return DONE


@click.command()
@run_argument
@json_option
def harvest(*, name: str | None, as_json: bool) -> int:
    """Archive the variants of RUN that are ready, and commit each on its branch 'bo4/<run>/vN'.

    The default is the run that was created last. A variant that cannot be used is marked with its error, and
    is tried anew by the next harvest.
    """
    from git_planner.flows.tournament.collecting.harvest import harvest as harvest_variants
    from git_planner.flows.tournament.run_store import latest_run

    repo = start_in_repository()
    run = name or latest_run(repo)
    show_view(harvest_variants(repo, run, hush if as_json else tell), as_json)
    return DONE
