"""`git planner remote`: set up a remote that plans are shared through."""

from __future__ import annotations

import click

from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say
from git_planner.errors import DONE
from git_planner.gitio.repository import open_repository


@click.group()
def remote() -> None:
    """Set up a remote that plans are shared through."""


@remote.command(short_help="Fetch what clones share, and merge plans by task and field.")
@click.argument("name", required=False)
@click.option("--remove", is_flag=True, help="Take all of it out again, the merge driver of 'init', too.")
@json_option
def setup(name: str | None, remove: bool, as_json: bool) -> int:
    """Make 'git fetch NAME' bring claims, starts of iterations and our branches; merge plans by field.

    Without NAME it is the remote of 'planner.remote', else 'origin'. Nothing that is fetched goes over a ref
    of this clone.
    """
    from git_planner.flows.sharing import remote_setup

    repo = open_repository()
    done = remote_setup.remove(repo, name) if remove else remote_setup.setup(repo, name)
    if as_json:
        emit(done.document())
        return DONE
    if done.remote is None:
        say("remote: " + ("removed what was set up" if done.changed else "nothing was set up"))
        return DONE
    say(f"remote: '{done.remote}' is {'set up' if done.changed else 'set up already'}")
    for each in done.fetch:
        say(f"  fetch: {each}")
    say("  merge: documents of git-planner by task and field")
    return DONE
