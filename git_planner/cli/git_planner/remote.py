"""`git planner remote`: configure the remote that plans are shared through."""

from __future__ import annotations

import click

from git_planner.cli.lazy_group import CommandGroup
from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE


@click.group(cls=CommandGroup)
def remote() -> None:
    """Configure the remote that plans are shared through."""


@remote.command(short_help="Configure fetching of claims and plans, and the merge driver.")
@click.argument("name", required=False)
@click.option(
    "--remove", is_flag=True, help="Remove the configuration, including the merge driver of 'init'."
)
@json_option
def setup(name: str | None, remove: bool, as_json: bool) -> int:
    """Configure 'git fetch NAME' to fetch claims and planner branches, and git to merge plans by field.

    NAME defaults to 'planner.remote', then 'origin'. Fetching never overwrites a ref of this clone.
    """
    from git_planner.flows.sharing import remote_setup

    repo = start_in_repository()
    done = remote_setup.remove_setup(repo, name) if remove else remote_setup.set_up_remote(repo, name)
    if as_json:
        emit(done.document())
        return DONE
    if done.remote is None:
        say("remote: " + ("removed what was set up" if done.changed else "nothing was set up"))
        return DONE
    say(f"remote: '{done.remote}' is {'set up' if done.changed else 'set up already'}")
    for refspec in done.fetch:
        say(f"  fetch: {refspec}")
    say("  merge: documents of git-planner by task and field")
    return DONE
