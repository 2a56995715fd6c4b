"""`git planner demo` and `git planner plot`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from git_planner.cli.options import json_option, plan_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, PlannerError
from git_planner.rules.records.record import Record
from git_planner.rules.records.row import REASONS
from git_planner.rules.refnames import number_text

PICTURE = "cycles.svg"
HEADINGS = ("iteration", "what was tried", "verdict", "cycles", "delta", "reason")


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@json_option
def demo(folder: Path | None, as_json: bool) -> int:
    """Create a repository with a small kernel and let the offline agents improve it.

    Needs no network and no account; the repository stays for inspection. DIR must be new or empty (default: a
    new temporary folder).
    """
    from git_planner.flows.setup.demo import run_demo as run

    done = run(folder, tell)
    if as_json:
        emit(done.document())
        return DONE
    say("")
    for line in table([HEADINGS, *(_row(record, done.tried) for record in done.records)]):
        say(line)
    say(f"\nthe loop ended: {done.stopped}\n")
    _draw(done.records, done.folder / PICTURE)
    say("\nLook around:\n")
    if (programs := _off_path()) is not None:
        say(f'  export PATH="{programs}:$PATH"')
    say(f"  cd {done.repository}")
    for command, meaning in LOOK_AROUND:
        say(f"  {command:<46}# {meaning}")
    return DONE


LOOK_AROUND = (
    ("git record log", "every result"),
    ("git iterate list", "every attempt"),
    ("git iterate why 2", "why the second was refused"),
    ("git diff main iter/best -- kernel.py", "what all improvements amount to"),
    ("git log --oneline --graph --all", "where all that is kept"),
    ("git show plan/default --stat", "the last record, as a commit"),
    ("git record verify iter/best", "measure the best again"),
)


@click.command()
@plan_option
@click.option(
    "--svg", metavar="FILE", type=click.Path(path_type=Path), help="Also write an SVG image to FILE."
)
@json_option
def plot(plan: str | None, svg: Path | None, as_json: bool) -> int:
    """Plot the primary metric over the iterations of a plan."""
    from git_planner.config.settings import read_settings
    from git_planner.flows.records.ledger import read_ledger
    from git_planner.flows.records.query import without_records
    from git_planner.report import plot as draw

    repo = start_in_repository()
    name = read_settings(repo, plan=plan).plan
    drawn = draw.make_series(read_ledger(repo, name))
    if svg is not None:
        _write(svg, draw.draw_svg(drawn))
    if as_json:
        emit({**drawn.document(), "plan": name, "svg": None if svg is None else str(svg)})
    elif any(point.value is not None for point in drawn.points):
        say(draw.draw_terminal(drawn, width=_width()))
    elif drawn.points:
        say(f"plan '{name}' has no record with a value yet")
    else:
        say(without_records(repo, name))
    return DONE


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out rows in columns; the first row is the heading, numeric columns are right-aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    numeric = [
        all(row[column].lstrip("+-").isdigit() or row[column] in ("", "-") for row in rows[1:])
        for column in range(len(rows[0]))
    ]
    return [
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in [rows[0], ["-" * width for width in widths], *rows[1:]]
    ]


def _row(record: Record, tried: Sequence[str]) -> tuple[str, ...]:
    """Return one row of the demo's table."""
    why = REASONS.get(record.reason or "", "")
    first = f": {record.violations[0].removeprefix('changed: ')}" if record.violations else ""
    return (
        "-" if record.iteration is None else str(record.iteration),
        "the kernel as it was" if record.iteration is None else tried[record.iteration - 1],
        "baseline" if record.kind == "baseline" else record.verdict,
        "-" if record.value is None else number_text(record.value),
        "-" if record.delta is None else f"{record.delta:+g}" if record.delta else "0",
        why + first,
    )


def _off_path() -> Path | None:
    """Return the folder of the programs if it is not on PATH: the environment is not activated."""
    programs = Path(sys.prefix, "bin")
    path = shutil.which("git-planner")
    within = path is None or Path(path).parent == programs
    return programs if within and "VIRTUAL_ENV" not in os.environ else None


def _draw(records: Sequence[Record], picture: Path) -> None:
    from git_planner.report import plot as draw

    drawn = draw.make_series(records)
    try:
        say(draw.draw_terminal(drawn, width=_width()))
        _write(picture, draw.draw_svg(drawn))
        say(f"\nthe same as an image: {picture}")
    except PlannerError as error:
        if error.code != "E_MISSING_EXTRA":
            raise
        tell(f"no plot: {error.message}; {error.hint}")


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise PlannerError(
            "E_USAGE", f"'{path}' cannot be written: {error.strerror}", hint="name another file with '--svg'"
        ) from None


def _width() -> int:
    try:
        return max(40, min(100, os.get_terminal_size().columns))
    except OSError:
        return 78
