"""`git bo4 gate`: run gates on the variants of a tournament, on a commit, or on what is pushed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from git_planner.cli.git_bo4.runs import run_argument
from git_planner.cli.input_file import read_input
from git_planner.cli.options import engine_options, force_option, json_option
from git_planner.cli.output import check_place, emit, say, tell
from git_planner.cli.start import start_in_repository

if TYPE_CHECKING:
    from git_planner.flows.tournament.gates.gate_refs import GatedRefs
    from git_planner.flows.tournament.gates.gate_run import GatedVariants
    from git_planner.rules.tournament.gate import GateReport


@click.command()
@run_argument
@click.option(
    "--set",
    "gate_set",
    type=click.Choice(["conceptual", "shipping"]),
    default="conceptual",
    show_default=True,
    help="Set of gates to run.",
)
@click.option("--ref", metavar="REF", help="Run the gates on this commit instead of on variants.")
@click.option("--base", metavar="REF", help="Trusted base of the commit (default: found from its history).")
@click.option(
    "--pre-push",
    is_flag=True,
    help="Run the gates on the commits of a push, which git names on stdin of the hook 'pre-push'.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Gate N variants at a time (default: the leases for heavy work on this host).",
)
@engine_options
@click.option("--events-out", metavar="FILE", help="Append the events of '--ref' or '--pre-push' to FILE.")
@click.option("--strict-events", is_flag=True, help="Fail if the stream of events is not valid.")
@force_option("Run gates again that have a result.")
@json_option
def gate(
    *,
    name: str | None,
    gate_set: str,
    ref: str | None,
    base: str | None,
    pre_push: bool,
    jobs: int | None,
    events_out: str | None,
    strict_events: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Run a set of gates on every variant of RUN (default: the run that was created last).

    With '--ref' or '--pre-push' no tournament is needed. Exit with 1 if no variant passes, or a commit fails.
    A skipped gate has not passed.
    """
    if (name is not None) + (ref is not None) + pre_push > 1:
        raise click.UsageError("give one of RUN, '--ref' and '--pre-push'")
    if (events_out or base) and ref is None and not (pre_push and events_out):
        raise click.UsageError("'--events-out' and '--base' are for a commit, which '--ref' names")
    if events_out:
        check_place(events_out)
    if ref is None and not pre_push:
        return _gate_run(
            name,
            as_json=as_json,
            gate_set=gate_set,
            jobs=jobs,
            force=force,
            strict_events=strict_events,
        )
    repo = start_in_repository()
    from git_planner.flows.tournament.gates.gate_refs import MAX_PUSH_BYTES, gate_push, gate_ref

    if ref is not None:
        result = gate_ref(repo, ref, tell, gate_set=gate_set, base=base)
    else:
        result = gate_push(repo, sys.stdin.buffer.read(MAX_PUSH_BYTES + 1), tell, gate_set=gate_set)
    if events_out:
        _write_events(result, events_out, strict=strict_events)
    if as_json:
        emit(result.document())
        return result.exit
    for shown, report in result.reports:
        _show_report(shown, report)
    for skipped in result.skipped:
        say(f"{skipped}: not gated, it holds no code")
    return result.exit


def _gate_run(name: str | None, *, as_json: bool, **options: Any) -> int:
    from git_planner.flows.tournament.gates.gate_run import gate_variants
    from git_planner.flows.tournament.run_store import latest_run

    repo = start_in_repository()
    gated = gate_variants(repo, name or latest_run(repo), tell, **options)
    if as_json:
        emit(gated.document())
    else:
        _show_variants(gated)
    return gated.exit


def _show_variants(result: GatedVariants) -> None:
    for number, report in result.reports.items():
        _show_report(f"v{number}", report)
    for number, state in result.skipped.items():
        say(f"v{number}: not gated, it is {state}")
    if not result.reports:
        say(f"{result.run}: no variant has been harvested")


def _show_report(name: str, report: GateReport) -> None:
    say(f"{name}: {report.gate_set} gates {'passed' if report.passed else f'failed ({report.code})'}")
    for result in report.results:
        message = f": {result.message}" if result.message else ""
        say(f"  {result.verdict:<7} {result.name} {result.seconds:.1f} s{message}")
        if result.verdict != "passed":
            for line in result.details:
                say(f"          {line}")
        if result.log and result.verdict != "passed":
            say(f"          log: {result.log} in the common git directory")


def _write_events(result: GatedRefs, path: str, *, strict: bool) -> None:
    """Append the events to a file."""
    from git_planner import atomic_file
    from git_planner.flows.tournament.events import MAX_STREAM, require_valid

    before = read_input(path, MAX_STREAM, "an event stream")[1] if os.path.exists(path) else b""
    if strict and before:
        require_valid(path, before)
    stream = result.events(before)
    atomic_file.write(os.path.realpath(path), stream, 0o666)
    if strict:
        require_valid(path, stream)
