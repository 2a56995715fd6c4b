"""`git plan review`: show people what agents are about to do."""

from __future__ import annotations

import click

from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say
from git_planner.errors import DONE
from git_planner.gitio.repository import open_repository


@click.command()
@click.argument("what", required=False)
@json_option
def review(what: str | None, as_json: bool) -> int:
    """Render what is to be reviewed as Markdown: a directive, a plan, a spec or a guard proposal.

    WHAT is a branch ('plan/0003-next', 'iter/0007-next', 'plan/guard-…'), the number of an iteration, the
    name of a plan, or that of a spec's change (default: the checked-out branch, else the newest open
    directive). Nothing is changed.
    """
    from git_planner.flows.review.review import review as run

    result = run(open_repository(), what)
    if as_json:
        emit(result.document())
    else:
        say(result.body.rstrip("\n"))
    return DONE
