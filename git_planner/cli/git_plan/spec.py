"""`git plan spec`: describe a change, then compile it into the tasks of a plan."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from git_planner.cli.lazy_group import CommandGroup
from git_planner.cli.options import force_option, from_option, json_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, NO
from git_planner.rules import refnames

if TYPE_CHECKING:
    from git_planner.flows.specs.compile import CompileResult
    from git_planner.flows.specs.scaffold import ScaffoldResult

_SHOWN = 40
_spec_from_option = from_option("the working tree")


@click.group(cls=CommandGroup)
def spec() -> None:
    """Describe a change first (what and why, and its tasks), then compile it into a plan."""


@spec.command()
@force_option("Overwrite the project file.")
@json_option
def init(*, force: bool, as_json: bool) -> int:
    """Create 'openspec/' with a project file to fill in; existing files stay."""
    from git_planner.flows.specs.scaffold import init_specs

    written = init_specs(start_in_repository(), force=force)
    _show_written(written, as_json)
    if not as_json:
        say("next: fill in 'openspec/project.md', then: git plan spec propose CHANGE")
    return DONE


@spec.command()
@click.argument("change")
@force_option("Overwrite the change's files.")
@json_option
def propose(*, change: str, force: bool, as_json: bool) -> int:
    """Create proposal, tasks and design of CHANGE to fill in; existing files stay."""
    from git_planner.flows.specs.scaffold import propose_change as run

    written = run(start_in_repository(), change, force=force)
    _show_written(written, as_json)
    if not as_json:
        say(f"next: fill them in, then: git plan spec validate {written.change}")
    return DONE


def _show_written(written: ScaffoldResult, as_json: bool) -> None:
    if as_json:
        emit(written.document())
        return
    for path in written.written:
        say(f"made {path}")
    for path in written.kept:
        say(f"kept {path}")


@spec.command()
@click.argument("change", required=False)
@_spec_from_option
@json_option
def validate(*, change: str | None, from_ref: str | None, as_json: bool) -> int:
    """Validate CHANGE, or all changes.

    Print one line per fault, with file and line, and exit with 1 when there is one.
    """
    from git_planner.flows.specs.validate import check_specs

    judged = check_specs(start_in_repository(), change, from_ref)
    if as_json:
        emit(judged.document())
        return NO if judged.faults else DONE
    for one in judged.changes:
        done = sum(item.ticked for item in one.items)
        word = "not valid" if one.faults else f"valid, {len(one.items)} tasks, {done} of them ticked"
        say(f"{one.slug}: {word}")
    for fault in judged.faults:
        say(f"  {fault}")
    return NO if judged.faults else DONE


@spec.command(name="compile")
@click.argument("change")
@click.option("--plan", metavar="NAME", help="Plan to write (default: the change's name).")
@_spec_from_option
@click.option(
    "--verify-overrides",
    "overrides",
    metavar="FILE",
    help="Read verify commands from JSON: default_verify, by_task_id, by_title, by_key.",
)
@json_option
def compile_(
    *, change: str, plan: str | None, from_ref: str | None, overrides: str | None, as_json: bool
) -> int:
    """Compile CHANGE into the tasks of a plan, in one commit on 'plan/NAME'.

    On recompilation a task is matched by its {#key} or its title, and keeps status and evidence.
    """
    from git_planner.flows.specs.compile import compile_change

    compiled = compile_change(start_in_repository(), change, plan, ref=from_ref, overrides=overrides)
    if as_json:
        emit(compiled.document())
    else:
        _show_compiled(compiled)
    return DONE


def _show_compiled(compiled: CompileResult) -> None:
    branch = refnames.PLAN + compiled.plan
    if not compiled.changed:
        say(f"{branch}: nothing changed, {compiled.tasks} tasks")
    else:
        say(f"{branch}: {compiled.goal}")
    for effect in compiled.effects[:_SHOWN]:
        say(
            f"{effect.task}  {effect.kind:<9}  {effect.title}{f' ({effect.detail})' if effect.detail else ''}"
        )
    if len(compiled.effects) > _SHOWN:
        say(f"and {len(compiled.effects) - _SHOWN} more")
    if compiled.verify:
        say(f"default verify commands: {'; '.join(shlex.join(command) for command in compiled.verify)}")
        say(f"  (from {compiled.verify_from})")
    if compiled.unverified:
        some = ", ".join(compiled.unverified[:5]) + ("…" if len(compiled.unverified) > 5 else "")
        tell(f"no verify command: {some}; add 'verify:' below the task, or to the policy")


@spec.command()
@click.argument("change")
@force_option("Archive the change even though some of its tasks are open.")
@json_option
def archive(*, change: str, force: bool, as_json: bool) -> int:
    """Move CHANGE to 'openspec/archive/DATE-CHANGE' once all its tasks are done."""
    from git_planner.flows.specs.archive import archive_change as run

    archived = run(start_in_repository(), change, force=force)
    if as_json:
        emit(archived.document())
        return DONE
    say(f"{archived.after}: moved from {archived.before}")
    if archived.unfinished:
        say(f"{len(archived.unfinished)} of its tasks are open, such as {archived.unfinished[0]}")
    say("next: commit it" if archived.staged else "next: add and commit it")
    return DONE
