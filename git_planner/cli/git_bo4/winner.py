"""`git bo4 meta`, `compose`, `ship` and `apply`: from judged variants to a branch for review."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from git_planner.cli.git_bo4.runs import coverage_option, run_argument
from git_planner.cli.input_file import read_input
from git_planner.cli.options import (
    bench_options,
    body_option,
    branch_option,
    force_option,
    json_option,
    model_option,
    push_option,
    timeout_option,
)
from git_planner.cli.output import check_place, emit, put_text, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, NO
from git_planner.gitio.repository import Repository
from git_planner.rules.documents.canonical_json import MAX_BYTES
from git_planner.rules.printable import counted

if TYPE_CHECKING:
    from git_planner.flows.tournament.winner.ship import ShipResult

profile_option = click.option(
    "--profile",
    default="conservative",
    show_default=True,
    metavar="NAME",
    help="Weights of the score: conservative, fast, evidence-heavy, or one of '--weights'.",
)
weights_option = click.option("--weights", metavar="FILE", help="File of weights, flat or by profile.")
overrides_option = click.option("--overrides", metavar="FILE", help="File with changes of the composition.")
strict_events_option = click.option(
    "--strict-events", is_flag=True, help="Fail if the stream of events is not valid."
)
variant_option = click.option(
    "--variant", type=click.IntRange(1), metavar="N", help="Choose from this variant only."
)


@click.command()
@run_argument
@click.option(
    "--critic",
    metavar="NAME",
    help="Critic to ask: gemini, codex or command (default: planner.critic, then the policy).",
)
@model_option
@timeout_option("the reviewer, for each of the two orders")
@json_option
def review(
    *, name: str | None, critic: str | None, model: str | None, seconds: float | None, as_json: bool
) -> int:
    """Let a critic score RUN's gated variants, without knowing whose they are, in two orders.

    The scores are shown to people. They decide only where the policy has no metric.
    """
    from git_planner.flows.tournament.winner.review import ReviewOptions, review_variants

    repo = start_in_repository()
    done = review_variants(repo, _run(repo, name), ReviewOptions(critic, model, seconds), tell)
    if as_json:
        emit(done.document())
    else:
        for number, score in sorted(done.scores.items(), key=lambda row: -row[1]["overall"]):
            say(f"v{number} {score['overall']:g}" + ("" if score["agrees"] else ", the two orders disagree"))
    return DONE


@click.command()
@run_argument
@coverage_option
@profile_option
@weights_option
@variant_option
@json_option
def meta(
    *,
    name: str | None,
    coverage: str | None,
    profile: str,
    weights: str | None,
    variant: int | None,
    as_json: bool,
) -> int:
    """Choose what RUN's winner is made of: modules by a coverage file, else the variant measured best."""
    from git_planner.flows.tournament.winner.meta import MetaOptions, choose_composition

    repo = start_in_repository()
    options = MetaOptions(
        coverage=read_named_file(coverage, "the coverage"),
        profile=profile,
        weights=read_named_file(weights, "the weights"),
        variant=variant,
    )
    done = choose_composition(repo, _run(repo, name), options, tell)
    if as_json:
        emit(done.document())
    else:
        for pick in done.picks:
            say(f"{pick['module']} {pick['gain']:.2f}: {', '.join(pick['drivers']['coverage_goals'])}")
        say(done.rationale)
    return NO if done.composition is None else DONE


@click.command()
@run_argument
@overrides_option
@bench_options
@json_option
def compose(*, name: str | None, overrides: str | None, as_json: bool) -> int:
    """Make RUN's winner on 'bo4/<run>/winner': each module from its variant, the rest from the base.

    A composition must pass its gates and be proven better than the best single variant; else that one wins.
    """
    from git_planner.flows.tournament.winner.compose import compose_winner

    repo = start_in_repository()
    changes = read_named_file(overrides, "the overrides")
    done = compose_winner(repo, _run(repo, name), tell, overrides=changes)
    if as_json:
        emit(done.document())
    else:
        place = f"bo4/{done.view.run.run}/winner {done.commit[:12]}: " if done.commit else ""
        say(place + done.rationale)
    return done.exit


@click.command()
@run_argument
@strict_events_option
@body_option
@json_option
def ship(*, name: str | None, strict_events: bool, body: str | None, as_json: bool) -> int:
    """Run the shipping gates on RUN's winner, and print the text of its pull request."""
    from git_planner.flows.tournament.winner.ship import ship_winner

    if body is not None:
        check_place(body)
    repo = start_in_repository()
    done = ship_winner(repo, _run(repo, name), tell, strict_events=strict_events)
    if body is not None and done.body:
        put_text(body, done.body)
    if as_json:
        emit(done.document())
    else:
        _show_shipped(done, is_body_shown=body is None)
    return done.exit


def _show_shipped(done: ShipResult, *, is_body_shown: bool) -> None:
    if not done.gates.passed:
        for result in done.gates.results:
            say(f"{result.name}: {result.verdict}" + (f": {result.message}" if result.message else ""))
        return
    say(f"{done.run} {done.commit[:12]}: {done.title}")
    if is_body_shown:
        say(f"\n{done.body.rstrip()}")


@click.command()
@run_argument
@click.option("--check", is_flag=True, help="Only tell whether the branch can be made.")
@branch_option
@push_option
@force_option("Replace the branch even if it has changed since.")
@json_option
def apply(
    *, name: str | None, check: bool, branch: str | None, push: bool, force: bool, as_json: bool
) -> int:
    """Create the branch on which RUN's winner is reviewed: one commit with the code only, on the base."""
    from git_planner.flows.tournament.winner.apply import ApplyOptions, apply_winner

    repo = start_in_repository()
    options = ApplyOptions(check=check, branch=branch, push=push, force=force)
    done = apply_winner(repo, _run(repo, name), options, tell)
    if as_json:
        emit(done.document())
    elif done.commit is None:
        say(f"{done.branch} can be made on '{done.base}': {counted(done.files, 'file')}")
    else:
        say(f"{done.branch} {done.commit[:12]}: {done.title}")
    return DONE


def _run(repo: Repository, name: str | None) -> str:
    from git_planner.flows.tournament.run_store import latest_run

    return name or latest_run(repo)


def read_named_file(path: str | None, content: str) -> tuple[str, bytes] | None:
    """Return name and bytes of a file; None if none is named."""
    return None if path is None else read_input(path, MAX_BYTES, content)
