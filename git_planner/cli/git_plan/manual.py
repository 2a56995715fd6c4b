"""`git plan manual`: pack a prompt for a chat window, and apply its answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from git_planner.cli.git_plan.ask import asking, plan_options, show_planned
from git_planner.cli.options import json_option
from git_planner.cli.output import check_place, emit, put_text, say, tell
from git_planner.errors import DONE, PlannerError
from git_planner.gitio.repository import open_repository


@click.group()
def manual() -> None:
    """Plan by hand: a prompt to paste into any chat window, and an iteration from its answer."""


@manual.command()
@asking
def pack(as_json: bool, **asked: Any) -> int:
    """Put packet, prompt, schema and an empty answer on a branch 'plan/NNNN-slug'."""
    from git_planner.flows.planning.manual import DIRECTIVE, PROMPT
    from git_planner.flows.planning.manual import pack as run

    packed = run(open_repository(), plan_options(**asked), tell)
    if as_json:
        emit(packed.document())
        return DONE
    say(f"{packed.branch}: a packet from '{packed.packet['base_ref']}' at {packed.packet['base'][:12]}")
    say(f"prompt, about {packed.tokens:,} tokens: git show {packed.branch}:{PROMPT}")
    say(f"next: paste it into a chat, put the answer into '{DIRECTIVE}' on that branch and commit it,")
    say("      then: git plan manual apply")
    return DONE


@manual.command()
@click.argument("answer", required=False)
@click.option("--file", "file", metavar="FILE", help="The answer's file, '-' for stdin; same as ANSWER.")
@click.option(
    "--from-ref", metavar="REF", help="The packet's branch; else the one checked out, or the newest."
)
@click.option("--slug", metavar="TEXT", help="Last part of the branch name; else the packet's.")
@click.option("--allow-stale-base", is_flag=True, help="Go on from the base as it is now, though it moved.")
@click.option("--reply", metavar="FILE", help="Where the reply to a refused answer goes; else to stderr.")
@json_option
def apply(
    *,
    answer: str | None,
    file: str | None,
    from_ref: str | None,
    slug: str | None,
    allow_stale_base: bool,
    reply: str | None,
    as_json: bool,
) -> int:
    """Turn the answer to a packet into an iteration.

    ANSWER is a file, '-' for stdin, or a packet's branch. Without it the answer is the one on the branch.
    """
    from git_planner.flows.planning.manual import AnswerRefused
    from git_planner.flows.planning.manual import apply as run

    if answer is not None and answer != "-" and not Path(answer).is_file() and answer.startswith("plan/"):
        answer, from_ref = None, answer
    source = file or answer
    if reply is not None:
        check_place(reply)
    try:
        planned = run(
            open_repository(),
            from_ref,
            tell,
            pasted=_pasted(source) if source else None,
            slug=slug,
            allow_stale_base=allow_stale_base,
        )
    except AnswerRefused as refused:
        _give(refused.reply, reply)
        raise
    show_planned(planned, as_json)
    return DONE


def _pasted(source: str) -> tuple[str, bytes]:
    from git_planner.flows.planning.manual import PASTED_BYTES

    if source == "-":
        return "stdin", sys.stdin.buffer.read(PASTED_BYTES + 1)
    try:
        with Path(source).open("rb") as file:
            return source, file.read(PASTED_BYTES + 1)
    except OSError as error:
        raise PlannerError(
            "E_USAGE",
            f"'{source}' cannot be read: {error.strerror}",
            hint="name the file that has the answer",
        ) from None


def _give(text: str, reply: str | None) -> None:
    if reply is None:
        tell(text)
        return
    put_text(reply, text)
    tell(f"the reply to paste back is in '{reply}'")
