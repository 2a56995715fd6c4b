"""`git plan sync`: statuses as commits, trailers, records and runs say."""

from __future__ import annotations

import click

from git_planner.cli.options import json_option, plan_option
from git_planner.cli.output import emit, say, tell
from git_planner.errors import DONE
from git_planner.gitio.repository import open_repository


@click.command(short_help="Rebuild statuses from what git holds.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@plan_option
@json_option
def sync(*, dry_run: bool, plan: str | None, as_json: bool) -> int:
    """Rebuild the statuses of tasks from commits, trailers, records and runs, and say what changed and why.

    What hooks have seen is in the plan already; this makes up for what they have missed. Asked again, it
    changes nothing.
    """
    from git_planner.flows.delegation.sync import sync as run

    done = run(open_repository(), plan, tell=tell, dry_run=dry_run)
    found = done.advanced
    if as_json:
        emit(done.document())
        return DONE
    for each in done.settled:
        say(each)
    for change in found.changes:
        status = change.after.status
        what = status if status == change.before.status else f"{change.before.status} -> {status}"
        say(f"{change.after.id}  {what}: {change.why}")
    for name in found.unknown:
        tell(f"'{name}' is named by commits, but the plan '{found.plan}' does not have it")
    for name in found.held:
        tell(f"'{name}' is left alone: a run or a process has it")
    if not found.changes and not done.settled:
        tell(f"the plan '{found.plan}' says what git holds; nothing to change")
    return DONE
