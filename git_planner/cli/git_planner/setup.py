"""`git planner init`, `hooks`, `doctor` and `schema`: set up and check a repository."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from git_planner.cli.lazy_group import CommandGroup
from git_planner.cli.options import json_option, yes_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, NO
from git_planner.rules.diagnostic import Diagnostic
from git_planner.rules.refnames import POLICY_FILE, number_text

if TYPE_CHECKING:
    from git_planner.flows.setup.project.try_policy import PolicyTrial

ordinary_option = click.option(
    "--ordinary",
    is_flag=True,
    help="Use the default hooks folder, for tools without support for conditional includes.",
)


@click.command()
@ordinary_option
@click.option(
    "--template",
    metavar="NAME",
    help="Write the policy of this kind of project (default: the first that fits).",
)
@click.option("--no-try", is_flag=True, help="Do not measure HEAD by the new policy.")
@yes_option
@json_option
def init(ordinary: bool, template: str | None, no_try: bool, yes: bool, as_json: bool) -> int:
    """Create a policy unless there is one, and install the hooks and the merge driver.

    The policy is for what HEAD uses: its test runner, test files, configuration and lockfiles. HEAD is
    measured by it once; exit with 1 when that is not valid, with the cause and the line to change. A project
    of another kind gets a policy that explains every key, and so does '--template full'.

    'git planner hooks uninstall' removes the hooks, 'git planner remote setup --remove' the driver.
    """
    from git_planner.flows.setup.init import NewPolicy, initialise

    is_asked = not (yes or as_json) and sys.stdin.isatty() and sys.stdout.isatty()
    new = NewPolicy(template, is_tried=not no_try)
    if is_asked:
        new = NewPolicy(template, _choose_template, not no_try)
    done = initialise(start_in_repository(), ordinary=ordinary, new=new, progress=tell)
    is_valid = done.trial is None or done.trial.refusal is None
    if as_json:
        emit(done.document())
        return DONE if is_valid else NO
    if done.policy is not None:
        kind = f", for {done.template}" if done.template else ""
        say(f"policy: {'wrote' if done.written else 'kept'} '{done.policy}'{kind}")
    if done.others:
        say(f"also possible: --template {' or '.join(done.others)}")
    say(_installed_line(done.hooks.place, str(done.hooks.folder), done.hooks.chained))
    say("merge: git merges documents of git-planner by task and field")
    if done.trial is not None:
        say("\n".join(_trial_lines(done.trial)))
    for step in done.next:
        say(f"next: {step}")
    return DONE if is_valid else NO


def _choose_template(names: Sequence[str]) -> str:
    """Ask which of several kinds of project the policy is for."""
    answer: str = click.prompt("tests", type=click.Choice(list(names)), default=names[0], err=True)
    return answer


def _trial_lines(trial: PolicyTrial) -> list[str]:
    """Return the table of a trial, or its cause and the line to change."""
    counts = trial.tests
    rows = [("files guarded", f"{trial.guarded:,}")]
    if counts is not None:
        rows += [
            ("tests collected", f"{counts.collected:,}"),
            ("passed", f"{counts.passed:,}"),
            ("skipped", f"{counts.skipped:,}"),
        ]
    rows += [
        (metric.name, f"{number_text(metric.median)} {metric.unit} ± {number_text(metric.spread)}")
        for metric in trial.metrics
    ]
    rows.append(("seconds", f"{trial.seconds:.1f}"))
    if trial.refusal is not None:
        rows += [
            ("cause", str(trial.cause)),
            ("line", f"{POLICY_FILE}:{trial.line}"),
            ("output", str(trial.logs)),
            *(("", f"| {line}") for line in trial.excerpt),
        ]
    rows += [("note", note) for note in trial.notes]
    verdict = "valid" if trial.refusal is None else trial.refusal.verdict
    return [f"tried: {trial.commit[:12]} is {verdict}", *(f"  {name:15}  {value}" for name, value in rows)]


@click.group(cls=CommandGroup)
def hooks() -> None:
    """Install, remove and check the hooks of this repository.

    They act on planner branches only (plan/, iter/, bo4/). Existing hooks keep running on all branches.
    """


@hooks.command(short_help="Install or update the hooks.")
@ordinary_option
@json_option
def install(ordinary: bool, as_json: bool) -> int:
    """Install the hooks, or update them."""
    from git_planner.flows.hooks.install import install_hooks as run

    done = run(start_in_repository(), ordinary=ordinary)
    if as_json:
        emit(done.document())
    else:
        say(_installed_line(done.place, str(done.folder), done.chained))
    return DONE


@hooks.command(short_help="Remove the hooks and the merge driver.")
@json_option
def uninstall(as_json: bool) -> int:
    """Remove the hooks and the merge driver, and restore the hooks that were there before."""
    from git_planner.flows.setup.init import undo_init

    done = undo_init(start_in_repository())
    if as_json:
        emit(done.document())
        return DONE
    say("hooks: removed" if done.changed else "hooks: none were installed")
    for name in done.left:
        tell(f"hooks: '{name}' was changed since its installation and stays")
    return DONE


@hooks.command(short_help="Check the hooks of this repository.")
@json_option
def status(as_json: bool) -> int:
    """Check that the hooks are installed, unchanged and active; exit with 1 when not."""
    from git_planner.flows.hooks.status import hook_status as run

    report = run(start_in_repository())
    if as_json:
        emit(report.document())
    else:
        where = f"in '{report.folder}' ({report.place})" if report.place else "not installed"
        say(f"hooks: {where}")
        say(f"the repository's own: in '{report.theirs}'")
        _print_findings(report.findings)
    return NO if any(finding.severity == "error" for finding in report.findings) else DONE


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Check the setup and suggest fixes; exit with 1 when there is an error."""
    from git_planner.flows.board.board_checks import check_board
    from git_planner.flows.setup.doctor import run_checks

    report = run_checks(start_in_repository(), (check_board,))
    if as_json:
        emit(report.document())
        return DONE if report.ok else NO
    for name, value in report.facts.items():
        say(f"{name}: {value or 'none'}")
    _print_findings(report.findings)
    if not report.findings:
        say("no problems")
    return DONE if report.ok else NO


@click.command()
@click.argument("name")
@click.option("--strict", is_flag=True, help="Print the form for OpenAI's strict mode.")
def schema(name: str, strict: bool) -> int:
    """Print the JSON Schema of a document, such as 'directive' or 'policy'."""
    from git_planner import documents

    emit(documents.strict_schema(name) if strict else documents.schema(name))
    return DONE


@click.command(hidden=True)
@click.argument("what", type=click.Choice(["guard", "documents"]))
def gate(what: str) -> int:
    """Run one of the checks, silently when it passes; for the pre-commit framework."""
    from git_planner.flows.guard.staged import check_documents, check_guard

    if what == "guard":
        check_guard()
    else:
        check_documents()
    return DONE


def _installed_line(place: str, folder: str, chained: Sequence[str]) -> str:
    then = f", then the repository's own {', '.join(chained)}" if chained else ""
    return f"hooks: in '{folder}' ({place}){then}"


def _print_findings(findings: Sequence[Diagnostic]) -> None:
    for finding in findings:
        say(f"{finding.severity}: {finding.message} [{finding.code}]")
        say(f"  about: {finding.target}")
        say(f"  do: {finding.fix}")
