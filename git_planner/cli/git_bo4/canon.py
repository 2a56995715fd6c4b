"""`git bo4 canon`: lock ports, invariants and acceptance tests of modules; check commits against that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from git_planner.cli.lazy_group import CommandGroup
from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say
from git_planner.cli.start import start_in_repository

if TYPE_CHECKING:
    from git_planner.flows.tournament.gates.canon import CanonReport

ref_argument = click.argument("ref", metavar="[REF]", default="HEAD", required=False)
base_option = click.option(
    "--base", metavar="REF", help="Trusted base of the commit (default: found from its history)."
)


@click.group(cls=CommandGroup)
def canon() -> None:
    """Lock the ports, invariants and acceptance tests of modules, by digests in 'amr/canon.lock.json'."""


@canon.command()
@ref_argument
@click.option(
    "--modules-root", metavar="FOLDER", default="modules", show_default=True, help="Folder of the modules."
)
@json_option
def lock(*, ref: str, modules_root: str, as_json: bool) -> int:
    """Write the lock of the modules of REF (default: HEAD) into the working tree; commit it then."""
    from git_planner.flows.tournament.gates.canon import write_lock

    report = write_lock(start_in_repository(), ref, modules_root.rstrip("/"))
    if as_json:
        emit(report.document())
        return report.exit
    say(f"locked {report.modules} modules of {report.commit[:12]} in '{report.lock}'")
    return report.exit


@canon.command()
@ref_argument
@base_option
@json_option
def check(*, ref: str, base: str | None, as_json: bool) -> int:
    """Check REF (default: HEAD) against the lock of its trusted base; exit with 1 if it breaks it."""
    from git_planner.flows.tournament.gates.canon import check_canon
    from git_planner.flows.tournament.gates.run_gates import subject_of

    repo = start_in_repository()
    report = check_canon(repo, subject_of(repo, ref, base))
    return _show(report, as_json)


@canon.command()
@ref_argument
@base_option
@json_option
def diff(*, ref: str, base: str | None, as_json: bool) -> int:
    """Print what REF (default: HEAD) adds, removes and changes of the locked things; exit with 1 if any."""
    from git_planner.flows.tournament.gates.canon import compare_canon
    from git_planner.flows.tournament.gates.run_gates import subject_of

    repo = start_in_repository()
    report = compare_canon(repo, ref, base or subject_of(repo, ref, None).base)
    return _show(report, as_json)


def _show(report: CanonReport, as_json: bool) -> int:
    if as_json:
        emit(report.document())
        return report.exit
    for line in report.lines:
        say(line)
    for finding in report.findings:
        say(f"{'' if finding.is_error else 'note: '}{finding.code}: {finding.message}")
    if not report.lines and not report.findings:
        say(f"{report.commit[:12]}: {report.modules} modules, as locked in {(report.base or '')[:12]}")
    return report.exit
