"""`git plan use`: set the current plan."""

from __future__ import annotations

import click

from git_planner.cli.options import candidates, json_option
from git_planner.cli.output import emit, say
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE


@click.command()
@click.argument("plan", metavar="[NAME]", required=False, shell_complete=candidates("plans"))
@click.option("--unset", is_flag=True, help="Remove the setting.")
@json_option
def use(plan: str | None, unset: bool, as_json: bool) -> int:
    """Set the plan that commands use without '--plan': 'planner.plan' in the local git configuration.

    Without NAME, print the current plan. In the worktree of an iteration its own plan takes precedence.
    """
    from git_planner.flows.plans.current_plan import current_plan
    from git_planner.flows.tasks.select_plan import select_plan, unselect_plan

    if plan is not None and unset:
        raise click.UsageError("'NAME' and '--unset' exclude each other")
    repo = start_in_repository()
    if unset:
        unselect_plan(repo)
    elif plan is not None:
        select_plan(repo, plan)
    current = current_plan(repo, None)
    if as_json:
        emit({"schema": "git-planner/plan-used@1", "current": current})
    else:
        say(current)
    return DONE
