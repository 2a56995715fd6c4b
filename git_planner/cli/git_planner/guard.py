"""`git planner check`, `git planner guard` and `git planner ci`: the guard beyond the hooks."""

from __future__ import annotations

import os
import sys

import click

from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say
from git_planner.errors import DONE, NO, PlannerError
from git_planner.gitio.repository import open_repository


@click.command(short_help="Check what is staged, a range of commits, or a push.")
@click.option("--staged", is_flag=True, help="What is staged; the default.")
@click.option("--range", "range_", metavar="A..B", help="Every commit of a range, and its end.")
@click.option("--base", metavar="REF", help="With --range: what is trusted; else the base branch.")
@click.option("--head", metavar="NAME", help="With --range: the name of the branch that B is of.")
@click.option("--receive", is_flag=True, help="The moves of refs on stdin, as a pre-receive hook gets them.")
@json_option
def check(
    *, staged: bool, range_: str | None, base: str | None, head: str | None, receive: bool, as_json: bool
) -> int:
    """Check guard, scope and documents; exit status 1 when something is found.

    What is staged is checked as the hooks do, and refused in their words, with status 3.
    """
    from git_planner.flows.guard import check_range as flow
    from git_planner.flows.guard.staged import check_documents, check_guard

    repo = open_repository()
    if sum((staged, range_ is not None, receive)) > 1:
        raise PlannerError("E_USAGE", "only one of '--staged', '--range' and '--receive' can be checked")
    if range_ is None and not receive and not as_json:
        check_guard()
        check_documents()
        say("what is staged breaks no rule")
        return DONE
    if receive:
        checked = flow.check_received(repo, os.fsdecode(sys.stdin.buffer.read()))
    elif range_ is not None:
        checked = flow.check_range(repo, range_, base=base, head=head)
    else:
        checked = flow.check_staged(repo)
    if as_json:
        emit(checked.document())
        return DONE if checked.ok else NO
    for each in checked.findings:
        where = f" in {each.commit[:12]}" if each.commit else ""
        click.echo(f"{each.severity}: {each.message}{where} [{each.code}]", err=receive)
        if each.fix:
            click.echo(f"  do: {each.fix}", err=receive)
    if not receive:
        say(f"{checked.range}: {'breaks no rule' if checked.ok else 'refused'}")
    return DONE if checked.ok else NO


@click.group()
def guard() -> None:
    """Show what the guard covers, and propose changes to what it protects."""


@guard.command(short_help="Show which layer catches which change.")
@json_option
def matrix(as_json: bool) -> int:
    """Print the coverage matrix: ways to make or move a commit, kinds of change, and what catches each."""
    from git_planner.rules.guard import coverage_matrix

    if as_json:
        emit(coverage_matrix.document())
    else:
        click.echo(coverage_matrix.markdown_table(), nl=False)
    return DONE


@guard.command(short_help="Put a change of guarded files on a branch for review.")
@click.option("-m", "--message", metavar="TEXT", help="What the change is for; the commit's message.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@json_option
def propose(message: str | None, paths: tuple[str, ...], as_json: bool) -> int:
    """Put your changes of guarded files on a branch plan/guard-... of its own, for a pull request.

    The branch starts from the base branch. Your files, your index and your branch stay as they are.
    """
    from git_planner.flows.guard.propose import propose as run

    done = run(open_repository(), message, paths)
    if as_json:
        emit(done.document())
        return DONE
    say(f"branch: {done.branch}")
    for path in done.paths:
        say(f"changed: {path}")
    say(f"next: git push origin {done.branch}, then ask for a review into '{done.base}'")
    return DONE


@click.command(short_help="Print or write the templates for CI and servers.")
@click.argument("where", type=click.Choice(["github", "gitlab", "server"]))
@click.option("--write", is_flag=True, help="Write it where it belongs, unless something else is there.")
@json_option
def ci(where: str, write: bool, as_json: bool) -> int:
    """Print the template of a workflow that runs the checks, or of a server's pre-receive hook."""
    from git_planner.flows.guard.ci_templates import install_template

    made = install_template(open_repository() if write else None, where)
    if as_json:
        emit(made.document())
    elif write:
        say(f"{'wrote' if made.written else 'kept'} '{made.path}'")
    else:
        click.echo(made.text, nl=False)
    return DONE
