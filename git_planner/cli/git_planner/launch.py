"""`git planner` without a command, and `git planner quickstart`."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

from git_planner.cli.options import json_option, new_session_option, yes_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, PlannerError

if TYPE_CHECKING:
    from git_planner.flows.board.launch import Intent


@click.command()
@new_session_option
@yes_option
@json_option
def launch(*, new_session: bool, yes: bool, as_json: bool) -> int:
    """Set up what is missing, resume or start the planner's session, and show it.

    The first time in a repository it lists what it will write and start, and asks. Without a terminal it
    prints the command that shows the session.
    """
    from git_planner.flows.board import launch as flow
    from git_planner.flows.board.sessions.list_sessions import Sessions, find_attachment, view_session

    repo = start_in_repository()
    intent = flow.read_intent(repo, new_session=new_session)
    if not (intent.agreed or yes) and not _agrees(intent, as_json=as_json):
        return DONE
    started = flow.launch(repo, tell, new_session=new_session)
    views = [view_session(repo, session) for session in (started.planner, *started.resumed)]
    if as_json:
        emit(Sessions(tuple(views)).document())
        return DONE
    for view in views:
        say(view.line())
    found = find_attachment(repo, None, None)
    if found.argv is None:
        say(found.place)
    elif sys.stdin.isatty() and sys.stdout.isatty():
        from git_planner.host.terminals.foreground import become

        become(found.argv)
    else:
        say(f"show it: {shlex.join(found.argv)}")
    return DONE


@click.command()
@json_option
def quickstart(*, as_json: bool) -> int:
    """Explain how sessions work, with the names and commands of this repository."""
    from git_planner.flows.board.quickstart import explain

    guide = explain(start_in_repository())
    if as_json:
        emit(guide.document())
        return DONE
    for line in guide.lines():
        say(line)
    return DONE


def _agrees(intent: Intent, *, as_json: bool) -> bool:
    """Show what a first launch does, and ask.

    Raises:
        PlannerError: E_USAGE where nobody can be asked.
    """
    lines = [*(f"will {line}" for line in (*intent.writes, *intent.starts))]
    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise PlannerError(
            "E_USAGE",
            "the first launch in a repository asks before it writes and starts anything",
            hint="run it in a terminal, or agree with '--yes'",
            details=lines,
        )
    for line in lines:
        say(line)
    return click.confirm("go on?", default=True)
