"""`git plan review`: show people what agents are about to do, and open a pull request of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, NO, PlannerError
from git_planner.gitio.repository import Repository
from git_planner.rules.printable import counted

if TYPE_CHECKING:
    from git_planner.flows.review.forge.open_request import OpenedReview
    from git_planner.flows.review.review import Review


@click.command()
@click.argument("words", nargs=-1, metavar="[sync] [WHAT]")
@click.option(
    "--open", "is_opened", is_flag=True, help="Push its branch, and open or update its pull request."
)
@click.option(
    "--approve",
    is_flag=True,
    help="Sign an approval on the plan's branch, where the policy has 'by: approval'.",
)
@click.option("-m", "--message", metavar="TEXT", default="", help="Message of the commit.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if a required approval is missing.")
@click.option("--diff", is_flag=True, help="Show only what has changed since it was approved last.")
@json_option
def review(
    *,
    words: Sequence[str],
    is_opened: bool,
    approve: bool,
    message: str,
    exit_code: bool,
    diff: bool,
    as_json: bool,
) -> int:
    """Render what is to be reviewed as Markdown: a directive, a prompt, a plan, a spec or a guard proposal.

    WHAT is a branch ('plan/0003-next', 'iter/0007-next', 'plan/guard-…'), the number of an iteration,
    'bo4/RUN' for the prompt of a tournament, the name of a plan, or that of a spec's change (default: the
    checked-out branch, else the newest open directive). Nothing is changed, pushed or opened without an
    option that says so.

    'git plan review sync [WHAT]' brings what reviewers said: as remarks for the next prompt, and as notes and
    answers for tasks. A plan called 'sync' is 'plan/sync'.
    """
    is_synced, what = _parse_words(words)
    chosen = [
        name
        for name, is_set in (("sync", is_synced), ("--open", is_opened), ("--approve", approve))
        if is_set
    ]
    if len(chosen) > 1:
        raise PlannerError(
            "E_USAGE", f"'{chosen[0]}' and '{chosen[1]}' are two commands", hint="run one after the other"
        )
    if message and not approve:
        raise click.UsageError("'--message' is for '--approve'")
    if is_synced:
        return _sync(what, as_json)
    repo = start_in_repository()
    if approve:
        return _approve(repo, what, message, as_json=as_json)
    if is_opened:
        from git_planner.flows.review.forge.open_request import open_review

        opened = open_review(repo, what, tell)
        if as_json:
            emit(opened.document())
        else:
            _show_opened(opened)
        return DONE
    result = _rendered(repo, what, diff=diff, with_approval=exit_code or not diff)
    if as_json:
        emit(result.document())
    else:
        say(result.body.rstrip("\n"))
    return NO if exit_code and result.approval is not None and not result.approval.ok else DONE


def _rendered(repo: Repository, what: str | None, *, diff: bool, with_approval: bool) -> Review:
    if diff:
        from git_planner.flows.review.compare.since_approval import review_since_approval as run
    else:
        from git_planner.flows.review.review import review as run
    result = run(repo, what)
    if with_approval:
        from git_planner.flows.review.approving.approve import with_approval as add

        return add(repo, result)
    return result


def _approve(repo: Repository, what: str | None, message: str, *, as_json: bool) -> int:
    from git_planner.flows.review.approving.approve import approve_review
    from git_planner.rules.approval.decide import sentence

    result = approve_review(repo, what, message)
    if as_json:
        emit(result.document())
        return result.exit
    say(f"{result.review.name}: signed in {result.commit[:12]}; share it with 'git plan push'")
    if result.exit != DONE:
        tell(f"it does not count: the {result.review.kind} {sentence(result.approval)}")
    return result.exit


def _parse_words(words: Sequence[str]) -> tuple[bool, str | None]:
    """Return whether the words ask for a sync, and what is reviewed."""
    is_synced = words[:1] == ("sync",)
    names = words[1:] if is_synced else words
    if len(names) > 1:
        raise PlannerError("E_USAGE", f"unexpected argument '{names[1][:80]}'", hint="git plan review NAME")
    return is_synced, names[0] if names else None


def _sync(what: str | None, as_json: bool) -> int:
    from git_planner.flows.review.forge.sync import sync_review
    from git_planner.rules.plans.remarks import describe

    synced = sync_review(start_in_repository(), what, tell)
    if as_json:
        emit(synced.document())
        return DONE
    if synced.request:
        say(f"#{synced.request.number} is {synced.request.state}: {synced.request.url}")
    for remark in synced.remarks:
        say(f"{describe(remark)}{': ' if remark.text else ''}{' '.join(remark.text.split())[:200]}")
    say(f"{counted(len(synced.remarks), 'new remark')}, {synced.known} known")
    for task in dict.fromkeys(synced.answered):
        say(f"answered: {task}; requeue it with 'git plan task resume {task} --plan {synced.plan}'")
    if synced.unheard:
        tell(f"note: {counted(synced.unheard, 'comment')} of people who are no reviewers: not heard")
    if synced.problem:
        tell(f"note: only commits were read: {synced.problem}")
    return DONE


def _show_opened(opened: OpenedReview) -> None:
    target, request = opened.target, opened.request
    if opened.is_pushed:
        tell(f"pushed '{target.head}' to '{target.remote}'")
    for remark in opened.remarks:
        tell(f"note: {remark}")
    if target.is_merged:
        say(f"merged into '{target.base}'{f': {request.url}' if request else ''}")
        return
    if request is None:
        place = f":\n{opened.link}" if opened.link else " on your hosting site"
        say(f"open a pull request of '{target.head}' into '{target.base}'{place}\n")
        say(f"{opened.text.title}\n\n{opened.text.body.rstrip()}")
        return
    say(f"{opened.action} #{request.number}: {request.url}")
    if opened.action in ("closed", "merged"):
        tell(f"note: it was {opened.action} with this commit; git-planner leaves it as it is")
