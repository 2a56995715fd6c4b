"""`git plan sync`: recompute task statuses from commits, trailers, records and runs."""

from __future__ import annotations

import click

from git_planner.cli.options import dry_run_option, json_option, plan_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE


@click.command()
@dry_run_option
@plan_option
@json_option
def sync(*, dry_run: bool, plan: str | None, as_json: bool) -> int:
    """Recompute task statuses from the Git history, records and runs, and print what changed and why.

    Hooks update the plan as commits are made; this catches up on what they have missed. It is idempotent.
    """
    from git_planner.flows.delegation.sync import sync as run

    done = run(start_in_repository(), plan, progress=tell, dry_run=dry_run)
    advanced = done.advanced
    if as_json:
        emit(done.document())
        return DONE
    for line in done.settled:
        say(line)
    for change in advanced.changes:
        status = change.after.status
        what = status if status == change.before.status else f"{change.before.status} -> {status}"
        say(f"{change.after.id}  {what}: {change.why}")
    for name in advanced.unknown:
        tell(f"commits name '{name}', but the plan '{advanced.plan}' has no such task")
    for name in advanced.held:
        tell(f"'{name}' stays as it is: a run or a process holds it")
    if not advanced.changes and not done.settled:
        tell(f"the plan '{advanced.plan}' is up to date")
    return DONE
