"""`git plan push`, `git plan pull` and `git planner remote`: sharing plans through a remote."""

from __future__ import annotations

import click

from git_planner.cli.options import json_option, plan_option
from git_planner.cli.output import emit, hush, say, tell
from git_planner.errors import DONE
from git_planner.flows.sharing.push_pull import Shared
from git_planner.gitio.repository import open_repository

_DID = {
    "created": "came from there",
    "followed": "followed it",
    "merged": "merged with it",
    "unchanged": "nothing new",
    "ahead": "ours is ahead",
    "absent": "was not there yet",
}


@click.command()
@click.argument("where", metavar="[REMOTE]", required=False)
@plan_option
@click.option("--all", "every", is_flag=True, help="All plans that are here.")
@click.option("--work", is_flag=True, help="The branches of their tasks and iterations, too.")
@json_option
def push(where: str | None, plan: str | None, every: bool, work: bool, as_json: bool) -> int:
    """Publish a plan, and nothing else, in one atomic push that overwrites nothing.

    When somebody was faster, what they did is merged with ours by task and field, and the push tried again.
    """
    from git_planner.flows.delegation.remote_claims import RemoteClaims
    from git_planner.flows.sharing.push_pull import push as run

    _one_way(plan, every)
    repo, note = open_repository(), hush if as_json else tell
    done = run(repo, where, plan, note, every=every, work=work)
    for each in done.plans:
        for task in RemoteClaims(repo, each.plan, done.remote, note).give_back_ended():
            note(f"{task}: the claim on it was given back to '{done.remote}'")
    return _show(done, as_json)


@click.command()
@click.argument("where", metavar="[REMOTE]", required=False)
@plan_option
@click.option("--all", "every", is_flag=True, help="All plans of the remote.")
@json_option
def pull(where: str | None, plan: str | None, every: bool, as_json: bool) -> int:
    """Take in what a remote has of a plan: follow it, or merge by task and field.

    No work tree is needed. Where the plan's branch is checked out it moves along, unless there are changes.
    """
    from git_planner.flows.sharing.push_pull import pull as run

    _one_way(plan, every)
    return _show(run(open_repository(), where, plan, hush if as_json else tell, every=every), as_json)


def _one_way(plan: str | None, every: bool) -> None:
    if plan is not None and every:
        raise click.UsageError("'--all' and '--plan' exclude each other")


def _show(done: Shared, as_json: bool) -> int:
    if as_json:
        emit(done.document())
        return DONE
    for each in done.plans:
        say(f"{each.plan}: {_DID[each.did]} ({(each.tip or 'nothing')[:12]})")
        for line in each.told:
            say(f"  {line}")
    for ref, oid in done.moved.items():
        say(f"pushed to {done.remote}: {ref} {oid[:12]}")
    return DONE
