"""`git plan lint`: faults, overlaps and drift of a plan."""

from __future__ import annotations

import click

from git_planner.cli.options import json_option, plan_option
from git_planner.cli.output import emit, say
from git_planner.errors import DONE, NO
from git_planner.gitio.repository import open_repository


@click.command()
@plan_option
@json_option
def lint(plan: str | None, as_json: bool) -> int:
    """Look for what is wrong in a plan, for overlaps with other open work, and for drift of its base.

    Overlaps are write scopes that intersect: of open tasks, other plans, iterations and variants. Drift is
    what the base branch changed in a task's scopes since the commit that its work starts from. Exit status 1
    when something is wrong; overlaps, drift and warnings are only told.
    """
    from git_planner.flows.tasks.lint import lint as run

    found = run(open_repository(), plan)
    if as_json:
        emit(found.document())
        return DONE if found.ok else NO
    for fault in found.faults:
        say(f"{fault.severity}: {fault.task or found.plan}: {fault.words} [{fault.code}]")
    for clash in found.clashes:
        say(f"overlap: {clash.one} and {clash.other}: '{clash.patterns[0]}' and '{clash.patterns[1]}'")
    for drift in found.drifts:
        more = f" and {len(drift.paths) - 3} more" if len(drift.paths) > 3 else ""
        say(f"drift: {drift.task}: changed since {drift.base[:12]}: {', '.join(drift.paths[:3])}{more}")
    if not (found.faults or found.clashes or found.drifts):
        say(f"{found.plan}: nothing to be found")
    return DONE if found.ok else NO
