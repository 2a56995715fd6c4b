"""`git bo4 run` and `followup`: all stages in one command, and the next turn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from git_planner.cli.git_bo4.collect import send_again_option, watch_timeout_option
from git_planner.cli.git_bo4.runs import (
    NEW_PARAMETERS,
    create_run,
    new_options,
    new_request,
    prompt_file_option,
    prompt_option,
    run_argument,
    show_view,
)
from git_planner.cli.git_bo4.sources import read_prompt
from git_planner.cli.git_bo4.winner import (
    overrides_option,
    profile_option,
    read_named_file,
    strict_events_option,
    variant_option,
    weights_option,
)
from git_planner.cli.options import dry_run_option, engine_options, json_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE

if TYPE_CHECKING:
    from git_planner.flows.tournament.running.dry_run import TournamentOutline


@click.command()
@run_argument
@new_options
@profile_option
@weights_option
@variant_option
@overrides_option
@watch_timeout_option
@send_again_option
@strict_events_option
@engine_options
@dry_run_option
@json_option
def run(*, name: str | None, dry_run: bool, as_json: bool, **given: Any) -> int:
    """Create a tournament, or go on with RUN, and play all stages up to the winner's shipping gates.

    The same command again goes on where an interrupted one was: no agent is paid twice. Exit with 1 if no
    variant passes its gates, none is better than the base, or the winner fails its shipping gates.
    """
    from git_planner.flows.tournament.running.run_all import RunOptions, run_tournament
    from git_planner.flows.tournament.winner.meta import MetaOptions

    wanted = {key: given.pop(key) for key in NEW_PARAMETERS}
    meta = MetaOptions(
        coverage=read_named_file(wanted["coverage"], "the coverage"),
        profile=given.pop("profile"),
        weights=read_named_file(given.pop("weights"), "the weights"),
        variant=given.pop("variant"),
    )
    options = RunOptions(
        meta=meta,
        overrides=read_named_file(given.pop("overrides"), "the overrides"),
        seconds=given.pop("timeout"),
        again=given.pop("again"),
        strict_events=given.pop("strict_events"),
    )
    if dry_run:
        return _show_outline(wanted, given, as_json)
    if name is None:
        name = create_run(**wanted, source=given).run.run
        tell(f"the tournament is '{name}', on the branch 'bo4/{name}/run'")
    done = run_tournament(start_in_repository(), name, options, tell, _heading)
    if as_json:
        emit(done.document())
    else:
        show_view(done.view, False)
        say(
            done.rationale
            if done.commit is None
            else f"bo4/{name}/winner {done.commit[:12]}: {done.rationale}"
        )
    return done.exit


@click.command()
@run_argument
@prompt_option
@prompt_file_option
@click.option(
    "--follows",
    type=click.IntRange(1),
    metavar="N",
    help="Variant to go on with (default: start from the base).",
)
@click.option(
    "--attempts",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Number of variants (default: 1 after a variant, else as before).",
)
@json_option
def followup(
    *,
    name: str | None,
    prompt: str | None,
    path: str | None,
    follows: int | None,
    attempts: int | None,
    as_json: bool,
) -> int:
    """Begin the next turn of RUN with a prompt that stands alone; 'git bo4 run RUN' plays it.

    If reviewers requested changes of a prompt that has not been started, the new one replaces it; their words
    stand below it. The variants of earlier turns stay on their branches. Gates, figures and winner of the
    turn before are stale from now on.
    """
    from git_planner.flows.tournament.run_store import latest_run
    from git_planner.flows.tournament.running.followup import begin_turn

    repo = start_in_repository()
    text = read_prompt(prompt, path, is_needed=True)
    view = begin_turn(repo, name or latest_run(repo), text, follows=follows, attempts=attempts)
    show_view(view, as_json)
    return DONE


@contextmanager
def _heading(stage: str) -> Iterator[None]:
    """Show the heading of a stage: a group of lines where a CI system folds them."""
    in_ci = os.environ.get("CI", "").lower() in ("1", "true") or "GITHUB_ACTIONS" in os.environ
    tell(f"::group::{stage}" if in_ci else f"== {stage}")
    try:
        yield
    finally:
        if in_ci:
            tell("::endgroup::")


def _show_outline(wanted: dict[str, Any], source: dict[str, Any], as_json: bool) -> int:
    from git_planner.flows.tournament.running.dry_run import outline_run

    outline = outline_run(start_in_repository(), new_request(**wanted, source=source))
    if as_json:
        emit(outline.document())
    else:
        for line in _outline_lines(outline):
            say(line)
    return DONE


def _outline_lines(outline: TournamentOutline) -> Iterator[str]:
    yield f"base: {outline.base_ref} {outline.base[:12]}"
    kind, size = outline.source["kind"], outline.prompt_bytes
    yield f"source: {kind}, {outline.attempts} variants, prompt of {size} bytes"
    for agent in outline.agents:
        yield f"  v{agent['variant']}: would start {agent['agent']}, model {agent['model'] or 'default'}"
    for name, gates in outline.gates.items():
        yield f"{name} gates: {', '.join(gates) or 'none'}"
    if outline.measured is None:
        yield "measured: nothing; the policy has no metric"
    else:
        runs = outline.measured["runs"]
        yield f"measured: {outline.measured['metric']}, {outline.measured['kind']}"
        yield f"  {runs['screening']} runs to choose the finalist, at most {runs['comparison']} a comparison"
