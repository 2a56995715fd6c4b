"""`git record`: measure commits, and show, compare and verify their records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from git_planner.cli.git_record import render as text
from git_planner.cli.input_file import read_input
from git_planner.cli.options import (
    all_option,
    bench_options,
    candidates,
    force_option,
    from_red_option,
    json_option,
    plan_option,
)
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, NO, PlannerError
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.printable import counted

if TYPE_CHECKING:
    from git_planner.flows.records.query import RecordTexts

ref_argument = click.argument(
    "ref", metavar="[REF]", required=False, default="HEAD", shell_complete=candidates("commits")
)


@click.command()
@ref_argument
@plan_option
@force_option("Measure again even if a cached result exists.")
@click.option("--no-advance", is_flag=True, help="Do not advance the rolling best or create tags.")
@from_red_option
@click.option("--print-output", is_flag=True, help="Print the output of the commands on stderr.")
@bench_options
@json_option
def measure(  # noqa: PLR0917 - one parameter an option, all given by name
    ref: str,
    plan: str | None,
    force: bool,
    no_advance: bool,
    from_red: bool,
    print_output: bool,
    as_json: bool,
) -> int:
    """Measure REF (default: HEAD) and append the record to the plan's ledger.

    Exit with 0 for a valid record, 1 for an invalid one, 4 when it could not be measured and 124 at the
    deadline. Put '--' before a branch that is named like a command: 'git record -- log'.
    """
    from git_planner.config.settings import read_settings
    from git_planner.flows.measuring.benches.open_bench import open_bench
    from git_planner.flows.records.record import record_commit

    repo = start_in_repository()
    try:
        with open_bench(repo, read_settings(repo), tell) as bench:
            done = record_commit(
                repo,
                ref,
                plan=plan,
                force=force,
                advance=not no_advance,
                from_red=from_red,
                approved=True,
                progress=tell,
                bench=bench,
            )
    except PlannerError as error:
        raise _suggest_command(error, ref) from None
    if print_output and done.logs:
        _print_output(done.logs)
    if as_json:
        emit(text.recorded_document(done))
    else:
        say("\n".join(text.recorded(done)))
    return done.exit


@click.command()
@plan_option
@all_option("List the records of all plans.")
@click.option("-n", "last", metavar="N", type=click.IntRange(min=0), help="List only the last N records.")
@click.option("--jsonl", is_flag=True, help="Print rows in the older log's format, one per line.")
@json_option
def log(plan: str | None, every: bool, last: int | None, jsonl: bool, as_json: bool) -> int:
    """List the records of a plan, oldest first.

    A separator line marks a change of the instrument: records above and below it are not compared.
    """
    from git_planner.flows.records import query

    repo = start_in_repository()
    plans = _plans(repo, plan, every=every)
    if jsonl:
        from git_planner.rules.records.legacy_log import row_from_record

        for record in query.read_records(repo, plans, last):
            click.echo(json.dumps(row_from_record(record), sort_keys=True, ensure_ascii=False))
    elif as_json:
        _emit_log(plans, query.read_texts(repo, plans, last), query.current_instrument(repo))
    else:
        rows = query.read_rows(repo, plans, last)
        if not rows:
            say(query.without_records(repo, plans[0]) if plans else "no plans yet")
            return DONE
        now = None if every else query.current_instrument(repo)
        say("\n".join(text.log_lines(rows, now, everything=every)))
    return DONE


def _emit_log(plans: Sequence[str], kept: RecordTexts, now: str | None) -> None:
    """Print stored records as text, without parsing and re-serializing thousands of them."""
    turns = [turn._asdict() for turn in kept.turns]
    head = {"plans": list(plans), "instrument_now": now, "instrument_changes": turns}
    start = json.dumps(head).removesuffix("}").encode() + b',\n"records": [\n'
    click.echo((start + b",\n".join(kept.texts) + b'\n],\n"schema": "git-planner/log@1"}').decode())


@click.command()
@plan_option
@json_option
def best(plan: str | None, as_json: bool) -> int:
    """Show the best record of a plan among those of the latest instrument."""
    from git_planner.flows.plans.best_place import find_moved_best
    from git_planner.flows.records import query

    repo = start_in_repository()
    top = query.best_record(repo, _plans(repo, plan)[0])
    if as_json:
        emit(top.record.document())
    else:
        say("\n".join(text.details(top.record)))
        if not top.measured_here:
            say("  elsewhere    it was not measured in this repository, and will be before it counts here")
    moved = find_moved_best(repo, top.record.plan)
    if moved is not None:
        tell(f"warning: {moved.message}; '{moved.fix}' brings it back")
    return DONE


@click.command()
@click.argument("name", metavar="ID|REF", shell_complete=candidates("commits"))
@plan_option
@json_option
def show(name: str, plan: str | None, as_json: bool) -> int:
    """Show one record, by its id (or a prefix of it) or by its commit."""
    from git_planner.flows.records import query

    repo = start_in_repository()
    record = query.look_up_record(repo, _searched(repo, plan), name)
    if as_json:
        emit(record.document())
    else:
        say("\n".join(text.details(record)))
    return DONE


@click.command()
@click.argument("first", metavar="A", shell_complete=candidates("commits"))
@click.argument("second", metavar="B", shell_complete=candidates("commits"))
@plan_option
@json_option
def compare(first: str, second: str, plan: str | None, as_json: bool) -> int:
    """Compare two records, each given by its id or its commit.

    Exit with 1 when they cannot be compared, such as when different instruments measured them.
    """
    from git_planner.flows.records import query

    repo = start_in_repository()
    plans = _searched(repo, plan)
    done = query.compare_records(
        query.look_up_record(repo, plans, first), query.look_up_record(repo, plans, second)
    )
    if as_json:
        emit(done.document())
    else:
        say("\n".join(text.comparison(done)))
    return DONE if done.unlike is None else NO


@click.command()
@ref_argument
@plan_option
@bench_options
@json_option
def verify(ref: str, plan: str | None, as_json: bool) -> int:
    """Measure REF again without storing the result, and report whether its record holds.

    Exit with 0 when it holds, 1 when it does not, 4 or 124 when it could not be measured.
    """
    from git_planner.config.settings import read_settings
    from git_planner.flows.measuring.benches.open_bench import open_bench
    from git_planner.flows.records.verify import verify_record as run

    repo = start_in_repository()
    with open_bench(repo, read_settings(repo), tell) as bench:
        done = run(repo, ref, plan=plan, progress=tell, bench=bench)
    if as_json:
        emit(done.document())
    else:
        words = {True: "holds", False: "does not hold", None: "could not be verified"}[done.holds]
        say(f"record {done.record.id} {words}: {done.why}")
    return done.exit


@click.command()
@click.argument("name", metavar="ID|REF", shell_complete=candidates("commits"))
@click.option("--why", required=True, metavar="TEXT", help="Reason to commit with it.")
@plan_option
@json_option
def reject(name: str, why: str, plan: str | None, as_json: bool) -> int:
    """Dispute one record: it stays in the ledger, counts no longer, and the best goes back without it."""
    from git_planner.flows.records.reject import reject_record

    repo = start_in_repository()
    done = reject_record(repo, _searched(repo, plan), name, why)
    if as_json:
        emit(done.document())
        return DONE
    lines = [f"record {done.record.id} {'was disputed before' if done.known else 'is disputed now'}"]
    if done.best:
        lines.append(f"  best    is back at {done.best[:12]}, the last one that holds")
    if done.tag:
        lines.append(f"  tag     {refnames.short_name(done.tag)} is removed")
    say("\n".join(lines))
    return DONE


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True))
@plan_option
@json_option
def import_(file: Path, plan: str | None, as_json: bool) -> int:
    """Import the older loop runner's experiments/log.jsonl into a plan's ledger ('-' reads stdin).

    Rows that were imported earlier are skipped. Lines that are not rows are listed and make the exit status
    1; all others are imported.
    """
    from git_planner.flows.records.import_log import MAX_BYTES, import_log

    repo = start_in_repository()
    where, data = read_input(str(file), MAX_BYTES, "the log")
    done = import_log(repo, data, Path(where).name, _plans(repo, plan)[0])
    for fault in done.faults:
        tell(f"not imported: {fault}")
    if as_json:
        emit(done.document())
    else:
        say(f"plan '{done.plan}': {counted(done.added, 'record')} imported, {done.known} known already")
    return done.exit


def _suggest_command(error: PlannerError, name: str) -> PlannerError:
    """Return the error with a hint that suggests a command, if a mistyped one was read as a commit."""
    from git_planner.cli import COMMANDS
    from git_planner.rules.did_you_mean import close_names

    shown = [command for command, row in COMMANDS["git-record"].items() if row.help]
    near = close_names(name, shown) if error.code == "E_UNKNOWN_REF" else []
    if near:
        error.hint = f"did you mean 'git record {near[0]}'?"
    return error


def _plans(repo: Repository, plan: str | None, *, every: bool = False) -> list[str]:
    from git_planner.flows.plans.current_plan import needed_plan
    from git_planner.flows.records.ledger import plan_names

    return plan_names(repo) if every and plan is None else [needed_plan(repo, plan)]


def _searched(repo: Repository, plan: str | None) -> list[str]:
    """Return the plans to search: the current one, then, unless one was named, all others."""
    from git_planner.flows.records.ledger import plan_names

    first = _plans(repo, plan)
    return first if plan else [*first, *(name for name in plan_names(repo) if name not in first)]


def _print_output(logs: Path) -> None:
    for path in sorted(logs.iterdir()):
        content = path.read_text(encoding="utf-8", errors="replace")
        if content:
            tell(f"--- {path.name}")
            tell(content.removesuffix("\n"))
