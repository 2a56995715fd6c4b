"""`git plan inbox`: what waits for a person."""

from __future__ import annotations

import click

from git_planner.cli.options import json_option, plan_option
from git_planner.cli.output import emit, say
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE

_MOST_TEXT = 300


@click.command()
@plan_option
@json_option
def inbox(*, plan: str | None, as_json: bool) -> int:
    """List what waits for a person, oldest first, each with the command that answers it.

    These are questions, tasks to review, blocked tasks, dead runs, interrupted iterations, packets and
    proposals of the guard; without --plan those of all plans.
    """
    from git_planner.flows.board.inbox import read_inbox

    waiting = read_inbox(start_in_repository(), plan)
    if as_json:
        emit(waiting.document())
        return DONE
    if not waiting.items:
        say("nothing waits for a person")
    for item in waiting.items:
        plan_name = f"{item.plan} " if item.plan is not None and item.plan not in item.subject else ""
        say(f"{item.since or 'since when is unknown'}  {item.kind}  {plan_name}{item.subject}")
        text = " ".join(item.text.split())
        say(f"  {text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + '…'}")
        say(f"  {item.command}")
    return DONE
