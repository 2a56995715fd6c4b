"""`git plan manual`: pack a prompt for a chat window, and apply its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from git_planner.cli.git_plan.ask import packet_options, plan_options, show_planned
from git_planner.cli.input_file import read_input
from git_planner.cli.lazy_group import CommandGroup
from git_planner.cli.options import from_option, input_file_option, json_option, slug_option
from git_planner.cli.output import check_place, emit, put_text, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE
from git_planner.rules import refnames


@click.group(cls=CommandGroup)
def manual() -> None:
    """Plan by hand: paste a prompt into any chat window, and start an iteration from its answer."""


@manual.command()
@click.option(
    "--with",
    "named",
    multiple=True,
    metavar="PATH",
    help="File or folder to show in the prompt; may be repeated.",
)
@packet_options
def pack(as_json: bool, named: tuple[str, ...], **asked: Any) -> int:
    """Commit packet, prompt, schema and an empty answer to a branch 'plan/NNNN-slug'.

    The prompt has a map of the repository and the files most worth reading: those in scope, those that were
    changed lately, and what they import.
    """
    from git_planner.flows.planning.manual import DIRECTIVE, PROMPT
    from git_planner.flows.planning.manual import make_packet_branch as run

    packed = run(start_in_repository(), plan_options(**asked), tell, named=named)
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
@input_file_option
@from_option("the checked-out packet branch, then the newest one")
@slug_option("the packet's")
@click.option(
    "--allow-stale-base", is_flag=True, help="Continue from the current base even though it has moved."
)
@click.option(
    "--reply", metavar="FILE", help="Write the reply to a refused answer to FILE (default: stderr)."
)
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
    """Start an iteration from the answer to a packet.

    ANSWER is a file, '-' for stdin, or a packet's branch (default: the answer that is on the branch).
    """
    from git_planner.flows.planning.manual import MAX_PASTED_BYTES, AnswerRefused
    from git_planner.flows.planning.manual import apply_answer as run

    if (
        answer is not None
        and answer != "-"
        and not Path(answer).is_file()
        and answer.startswith(refnames.PLAN)
    ):
        answer, from_ref = None, answer
    source = file or answer
    if reply is not None:
        check_place(reply)
    try:
        planned = run(
            start_in_repository(),
            from_ref,
            tell,
            pasted=read_input(source, MAX_PASTED_BYTES, "the answer") if source else None,
            slug=slug,
            allow_stale_base=allow_stale_base,
        )
    except AnswerRefused as refused:
        _put_reply(refused.reply, reply)
        raise
    show_planned(planned, as_json)
    return DONE


def _put_reply(text: str, reply: str | None) -> None:
    if reply is None:
        tell(text)
        return
    put_text(reply, text)
    tell(f"the reply to paste back is in '{reply}'")
