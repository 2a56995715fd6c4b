"""`git bo4 events`: validate, replay and summarise event streams."""

from __future__ import annotations

import click

from git_planner.cli.git_bo4.runs import run_argument
from git_planner.cli.input_file import read_input
from git_planner.cli.lazy_group import CommandGroup
from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE
from git_planner.rules.printable import counted

in_option = click.option(
    "--in", "path", metavar="FILE", help="Read the stream from FILE, or from stdin when FILE is '-'."
)


@click.group(cls=CommandGroup)
def events() -> None:
    """Validate, replay or summarise the event stream of RUN (default: the run that was created last)."""


@events.command()
@run_argument
@in_option
@click.option(
    "--strict", is_flag=True, help="Refuse a FILE in which lines are missing; a run's never may be."
)
@json_option
def validate(*, name: str | None, path: str | None, strict: bool, as_json: bool) -> int:
    """Validate every line by its schema, and the chain of their digests.

    Print one line per problem, with the number of its line, and exit with 1 if there is one.
    """
    from git_planner.flows.tournament.events import check_stream

    source, stream = _read(name, path)
    report = check_stream(source, stream, strict=strict or path is None)
    if as_json:
        emit(report.document())
        return report.exit
    for problem in report.problems:
        say(f"{source}: {problem}")
    if not report.problems:
        say(f"{source}: {counted(report.events, 'event')}, valid")
    return report.exit


@events.command()
@run_argument
@in_option
@json_option
def replay(*, name: str | None, path: str | None, as_json: bool) -> int:
    """Print the timeline: one line per event, with the seconds since the first."""
    from git_planner.rules.tournament import event, event_summary

    _, stream = _read(name, path)
    if as_json:
        emit({"schema": "git-planner/events-replayed@1", "events": event.read(stream)})
        return DONE
    for line in event_summary.replay(stream).splitlines():
        say(line)
    return DONE


@events.command()
@run_argument
@in_option
@click.option(
    "--top",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    metavar="N",
    help="Number of slow tests and of codes to list.",
)
@json_option
def summary(*, name: str | None, path: str | None, top: int, as_json: bool) -> int:
    """Print the durations of gates, the codes of failures, slow tests and modules."""
    from git_planner.rules.tournament import event_summary

    document = event_summary.summary(_read(name, path)[1], top=top)
    if as_json:
        emit({"schema": "git-planner/events-summary@1", **document})
        return DONE
    for line in event_summary.summary_lines(document):
        say(line)
    return DONE


def _read(name: str | None, path: str | None) -> tuple[str, bytes]:
    """Return the name and the bytes of a stream: of a file, or of a run."""
    from git_planner.flows.tournament.events import MAX_STREAM, run_stream

    if path is None:
        return run_stream(start_in_repository(), name)
    if name is not None:
        raise click.UsageError("give RUN or '--in', not both")
    return read_input(path, MAX_STREAM, "an event stream")
