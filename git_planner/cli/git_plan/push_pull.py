"""`git plan push` and `git plan pull`: share plans through a remote."""

from __future__ import annotations

import click

from git_planner.cli.options import all_option, json_option, plan_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE
from git_planner.flows.sharing.push_pull import SharingResult

_ACTIONS = {
    "created": "created from the remote",
    "followed": "fast-forwarded",
    "merged": "merged",
    "unchanged": "up to date",
    "ahead": "ahead of the remote",
    "absent": "new on the remote",
    "set_aside": "invalid on the remote, set aside",
}


@click.command()
@click.argument("where", metavar="[REMOTE]", required=False)
@plan_option
@all_option("Push all local plans.")
@click.option("--work", is_flag=True, help="Also push the branches of tasks and iterations.")
@json_option
def push(where: str | None, plan: str | None, every: bool, work: bool, as_json: bool) -> int:
    """Push a plan in one atomic push that overwrites nothing.

    Concurrent updates of the remote are merged by task and field first, and the push is retried.
    """
    from git_planner.flows.delegation.remote_claims import RemoteClaims
    from git_planner.flows.sharing.push_pull import push as run

    _check_selection(plan, every)
    repo = start_in_repository()
    done = run(repo, where, plan, tell, every=every, work=work)
    for shared in done.plans:
        for task in RemoteClaims(repo, shared.plan, done.remote, tell).release_ended():
            tell(f"{task}: its claim on '{done.remote}' is released")
    return _print_shared(done, as_json)


@click.command()
@click.argument("where", metavar="[REMOTE]", required=False)
@plan_option
@all_option("Pull all plans of the remote.")
@json_option
def pull(where: str | None, plan: str | None, every: bool, as_json: bool) -> int:
    """Fetch a plan from a remote, then fast-forward to it or merge it by task and field.

    No work tree is needed. A checked-out plan branch is updated too, unless its worktree has changes.
    """
    from git_planner.flows.sharing.push_pull import pull as run

    _check_selection(plan, every)
    return _print_shared(run(start_in_repository(), where, plan, tell, every=every), as_json)


def _check_selection(plan: str | None, every: bool) -> None:
    if plan is not None and every:
        raise click.UsageError("'--all' and '--plan' exclude each other")


def _print_shared(done: SharingResult, as_json: bool) -> int:
    if as_json:
        emit(done.document())
        return DONE
    for shared in done.plans:
        say(f"{shared.plan}: {_ACTIONS[shared.action]} ({(shared.tip or 'nothing')[:12]})")
        for line in shared.notes:
            say(f"  {line}")
    for ref, oid in done.moved.items():
        say(f"pushed to {done.remote}: {ref} {oid[:12]}")
    return DONE
