"""`git bo4 judge` and the other stages: each goes on where it was, and does nothing when it is done."""

from __future__ import annotations

import click

from git_planner.cli.git_bo4.runs import run_argument, show_view
from git_planner.cli.options import bench_options, json_option
from git_planner.cli.output import tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, NO


@click.command()
@run_argument
@bench_options
@json_option
def judge(*, name: str | None, as_json: bool) -> int:
    """Measure the variants of RUN that passed their gates, and choose the best one.

    The runs that choose the finalist do not count in its comparison with the base. Exit with 1 when no
    variant is better than the base.
    """
    from git_planner.flows.tournament.judge import judge as flow
    from git_planner.flows.tournament.run_store import latest_run

    repo = start_in_repository()
    view = flow(repo, name or latest_run(repo), tell)
    show_view(view, as_json)
    stage = view.run.stages["judge"]
    return NO if stage.facts.get("winner") is None else DONE


@click.command("variant-program", hidden=True)
@click.argument("run_id", metavar="ID")
def variant_program(*, run_id: str) -> int:
    """Run the agent of a local variant; 'git bo4 watch' starts this."""
    from git_planner.flows.tournament.variant_program import run_variant

    run = run_variant(start_in_repository(), run_id, tell)
    tell(f"{run.task}: {run.outcome}")
    return DONE if run.outcome == "done" else NO
