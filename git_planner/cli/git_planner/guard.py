"""`git planner check` and `guard`: run the guard outside the hooks."""

from __future__ import annotations

import os
import sys

import click

from git_planner.cli.lazy_group import CommandGroup
from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, NO, PlannerError


@click.command()
@click.option("--staged", is_flag=True, help="Check the staged changes (the default).")
@click.option("--range", "range_", metavar="A..B", help="Check every commit of a range, and its end.")
@click.option("--base", metavar="REF", help="Trusted commit for '--range' (default: the base branch).")
@click.option("--head", metavar="NAME", help="Name of the branch of B for '--range'.")
@click.option(
    "--receive", is_flag=True, help="Check the ref updates on stdin, as a pre-receive hook gets them."
)
@json_option
def check(
    *, staged: bool, range_: str | None, base: str | None, head: str | None, receive: bool, as_json: bool
) -> int:
    """Check guard, scope and documents of staged changes, a range of commits, or a push.

    Exit with 1 when there is a finding. Staged changes are checked as in the hooks, which refuse with 3.
    """
    from git_planner.flows.guard import check_range as flow
    from git_planner.flows.guard.staged import check_documents, check_guard

    repo = start_in_repository()
    if sum((staged, range_ is not None, receive)) > 1:
        raise PlannerError("E_USAGE", "'--staged', '--range' and '--receive' exclude each other")
    if range_ is None and not receive and not as_json:
        check_guard()
        check_documents()
        say("staged changes are fine")
        return DONE
    if receive:
        from git_planner.flows.review.approving.received import check_received_push

        checked = check_received_push(repo, os.fsdecode(sys.stdin.buffer.read()))
    elif range_ is not None:
        from git_planner.flows.records.standing import check_range

        checked = check_range(repo, range_, base=base, head=head)
    else:
        checked = flow.check_staged(repo)
    if as_json:
        emit(checked.document())
        return DONE if checked.ok else NO
    for finding in checked.findings:
        where = f" in {finding.commit[:12]}" if finding.commit else ""
        show = tell if receive else say
        show(f"{finding.severity}: {finding.message}{where} [{finding.code}]")
        if finding.fix:
            show(f"  do: {finding.fix}")
    if not receive:
        say(f"{checked.range}: {'ok' if checked.ok else 'refused'}")
    return DONE if checked.ok else NO


@click.group(cls=CommandGroup)
def guard() -> None:
    """Show the coverage of the guard, and propose changes to guarded files."""


@guard.command(short_help="Show which layer catches which change.")
@json_option
def matrix(as_json: bool) -> int:
    """Print the coverage matrix: which layer catches which change, by how a commit is made or moved."""
    from git_planner.rules.guard import coverage_matrix

    if as_json:
        emit(coverage_matrix.document())
    else:
        click.echo(coverage_matrix.markdown_table(), nl=False)
    return DONE


@guard.command(short_help="Commit changes of guarded files to a branch for review.")
@click.option("-m", "--message", metavar="TEXT", help="Message of the commit.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@json_option
def propose(message: str | None, paths: tuple[str, ...], as_json: bool) -> int:
    """Commit your changes of guarded files to a new branch 'plan/guard-…' for a pull request.

    The branch starts from the base branch. Working tree, index and current branch stay as they are.
    """
    from git_planner.flows.guard.propose import propose as run

    done = run(start_in_repository(), message, paths)
    if as_json:
        emit(done.document())
        return DONE
    say(f"branch: {done.branch}")
    for path in done.paths:
        say(f"changed: {path}")
    say(f"next: git push origin {done.branch}, then ask for a review into '{done.base}'")
    return DONE
