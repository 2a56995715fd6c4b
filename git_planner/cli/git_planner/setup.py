"""`git planner`: setting up, checking, looking after."""

from __future__ import annotations

from collections.abc import Sequence

import click

from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say, tell
from git_planner.errors import DONE, NO
from git_planner.gitio.repository import open_repository
from git_planner.rules.diagnostic import Diagnostic

ordinary_option = click.option(
    "--ordinary",
    is_flag=True,
    help="Use the ordinary hooks folder, for tools that know no conditional includes.",
)


@click.command()
@ordinary_option
@json_option
def init(ordinary: bool, as_json: bool) -> int:
    """Write a policy file to begin with, where there is none, install the hooks and the merge driver.

    The hooks go with 'git planner hooks uninstall', the driver with 'git planner remote setup --remove'.
    """
    from git_planner.flows.setup.init import initialise

    done = initialise(open_repository(), ordinary=ordinary)
    if as_json:
        emit(done.document())
        return DONE
    if done.policy is not None:
        say(f"policy: {'wrote' if done.written else 'kept'} '{done.policy}'")
    say(_installed(done.hooks.place, str(done.hooks.folder), done.hooks.chained))
    say("merge: git merges documents of git-planner by task and field")
    for step in done.next:
        say(f"next: {step}")
    return DONE


@click.group()
def hooks() -> None:
    """Install, remove and check the hooks of this repository.

    They run on branches of ours only (plan/, iter/, bo4/). Hooks that were there go on running everywhere.
    """


@hooks.command(short_help="Install them, or bring them up to date.")
@ordinary_option
@json_option
def install(ordinary: bool, as_json: bool) -> int:
    """Install the hooks, or bring them up to date."""
    from git_planner.flows.hooks.install import install_hooks as run

    done = run(open_repository(), ordinary=ordinary)
    if as_json:
        emit(done.document())
    else:
        say(_installed(done.place, str(done.folder), done.chained))
    return DONE


@hooks.command(short_help="Remove them without trace.")
@json_option
def uninstall(as_json: bool) -> int:
    """Remove the hooks and the merge driver; hooks that were there before are as they were."""
    from git_planner.flows.setup.init import remove

    done = remove(open_repository())
    if as_json:
        emit(done.document())
        return DONE
    say("hooks: removed" if done.changed else "hooks: there were none of ours")
    for name in done.left:
        tell(f"hooks: '{name}' was replaced by somebody else and stays")
    return DONE


@hooks.command(short_help="Are they there, unchanged, in force?")
@json_option
def status(as_json: bool) -> int:
    """Look whether the hooks are there, unchanged and in force; exit status 1 when not."""
    from git_planner.flows.hooks.status import hook_status as run

    seen = run(open_repository())
    if as_json:
        emit(seen.document())
    else:
        where = f"in '{seen.folder}' ({seen.place})" if seen.place else "not installed"
        say(f"hooks: {where}")
        say(f"the repository's own: in '{seen.theirs}'")
        _show(seen.findings)
    return NO if any(finding.severity == "error" for finding in seen.findings) else DONE


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Look at all that is needed, and say what to do; exit status 1 when something will not work."""
    from git_planner.flows.setup.doctor import examine

    report = examine(open_repository())
    if as_json:
        emit(report.document())
        return DONE if report.ok else NO
    for name, value in report.facts.items():
        say(f"{name}: {value or 'none'}")
    _show(report.findings)
    if not report.findings:
        say("all is well")
    return DONE if report.ok else NO


@click.command()
@click.argument("name")
@click.option("--strict", is_flag=True, help="The form for OpenAI's strict mode.")
def schema(name: str, strict: bool) -> int:
    """Print the JSON Schema of a document, such as 'directive' or 'policy'."""
    from git_planner import documents

    emit(documents.strict_schema(name) if strict else documents.schema(name))
    return DONE


@click.command(hidden=True)
@click.argument("what", type=click.Choice(["guard", "documents"]))
def gate(what: str) -> int:
    """Run one of the checks and say nothing when it passes; for the pre-commit framework and its like."""
    from git_planner.flows.guard.staged import check_documents, check_guard

    if what == "guard":
        check_guard()
    else:
        check_documents()
    return DONE


def _installed(place: str, folder: str, chained: Sequence[str]) -> str:
    then = f", then the repository's own {', '.join(chained)}" if chained else ""
    return f"hooks: in '{folder}' ({place}){then}"


def _show(findings: Sequence[Diagnostic]) -> None:
    for finding in findings:
        say(f"{finding.severity}: {finding.message} [{finding.code}]")
        say(f"  about: {finding.target}")
        say(f"  do: {finding.fix}")
