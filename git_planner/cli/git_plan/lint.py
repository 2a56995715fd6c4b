"""`git plan lint`: check a plan for faults, overlaps and drift."""

from __future__ import annotations

import click

from git_planner.cli.options import json_option, plan_option
from git_planner.cli.output import emit, say
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, NO


@click.command()
@plan_option
@json_option
def lint(plan: str | None, as_json: bool) -> int:
    """Check a plan for faults, for overlaps with other open work, and for drift of its base.

    Overlaps are write scopes that intersect: of open tasks, other plans, iterations and variants. Drift is a
    change of the base branch in a task's scopes since the commit that its work starts from. Exit with 1 when
    there is a fault; overlaps, drift and warnings do not change the exit status.
    """
    from git_planner.flows.tasks.lint import lint as run

    report = run(start_in_repository(), plan)
    if as_json:
        emit(report.document())
        return DONE if report.ok else NO
    for fault in report.faults:
        say(f"{fault.severity}: {fault.task or report.plan}: {fault.message} [{fault.code}]")
    for clash in report.clashes:
        say(f"overlap: {clash.one} and {clash.other}: '{clash.patterns[0]}' and '{clash.patterns[1]}'")
    for drift in report.drifts:
        more = f" and {len(drift.paths) - 3} more" if len(drift.paths) > 3 else ""
        say(f"drift: {drift.task}: changed since {drift.base[:12]}: {', '.join(drift.paths[:3])}{more}")
    if not (report.faults or report.clashes or report.drifts):
        say(f"{report.plan}: no problems")
    return DONE if report.ok else NO
