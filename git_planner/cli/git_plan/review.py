"""`git plan review`: show people what agents are about to do, and open a pull request of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say, tell
from git_planner.errors import DONE
from git_planner.gitio.repository import open_repository

if TYPE_CHECKING:
    from git_planner.flows.review.forge.open_request import OpenedReview


@click.command()
@click.argument("what", required=False)
@click.option(
    "--open", "is_opened", is_flag=True, help="Push its branch, and open or update its pull request."
)
@json_option
def review(what: str | None, is_opened: bool, as_json: bool) -> int:
    """Render what is to be reviewed as Markdown: a directive, a plan, a spec or a guard proposal.

    WHAT is a branch ('plan/0003-next', 'iter/0007-next', 'plan/guard-…'), the number of an iteration, the
    name of a plan, or that of a spec's change (default: the checked-out branch, else the newest open
    directive). Nothing is changed, pushed or opened without an option that says so.
    """
    from git_planner.flows.review.review import review as run

    repo = open_repository()
    if is_opened:
        from git_planner.flows.review.forge.open_request import open_review

        opened = open_review(repo, what, tell)
        if as_json:
            emit(opened.document())
        else:
            _show_opened(opened)
        return DONE
    result = run(repo, what)
    if as_json:
        emit(result.document())
    else:
        say(result.body.rstrip("\n"))
    return DONE


def _show_opened(opened: OpenedReview) -> None:
    target, request = opened.target, opened.request
    if opened.is_pushed:
        tell(f"pushed '{target.head}' to '{target.remote}'")
    for remark in opened.remarks:
        tell(f"note: {remark}")
    if request is None:
        place = f":\n{opened.link}" if opened.link else " on your hosting site"
        say(f"open a pull request of '{target.head}' into '{target.base}'{place}\n")
        say(f"{opened.text.title}\n\n{opened.text.body.rstrip()}")
        return
    say(f"{opened.action} #{request.number}: {request.url}")
    if opened.action in ("closed", "merged"):
        tell(f"note: it was {opened.action} with this commit; git-planner leaves it as it is")
