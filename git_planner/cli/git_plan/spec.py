"""`git plan spec`: write a change down first, then compile it into the tasks of a plan."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say, tell
from git_planner.errors import DONE, NO
from git_planner.gitio.repository import open_repository

if TYPE_CHECKING:
    from git_planner.flows.specs.compile import Compiled
    from git_planner.flows.specs.scaffold import Written

_SHOWN = 40
_from_option = click.option(
    "--from", "ref", metavar="REF", help="Read the spec of this commit; else that of the working tree."
)


@click.group()
def spec() -> None:
    """Write a change down first: what is wanted and why, and the tasks; then compile it into a plan."""


@spec.command()
@click.option("--force", is_flag=True, help="Write the project's file again, over what is in it.")
@json_option
def init(*, force: bool, as_json: bool) -> int:
    """Make 'openspec/' with the project's file to fill in; what is there already stays."""
    from git_planner.flows.specs.scaffold import initialise

    written = initialise(open_repository(), force=force)
    _show_written(written, as_json)
    if not as_json:
        say("next: fill in 'openspec/project.md', then: git plan spec propose CHANGE")
    return DONE


@spec.command()
@click.argument("change")
@click.option("--force", is_flag=True, help="Write the files again, over what is in them.")
@json_option
def propose(*, change: str, force: bool, as_json: bool) -> int:
    """Make the proposal, the tasks and the design of CHANGE to fill in; what is there already stays."""
    from git_planner.flows.specs.scaffold import propose as run

    written = run(open_repository(), change, force=force)
    _show_written(written, as_json)
    if not as_json:
        say(f"next: fill them in, then: git plan spec validate {written.change}")
    return DONE


def _show_written(written: Written, as_json: bool) -> None:
    if as_json:
        emit(written.document())
        return
    for path in written.written:
        say(f"made {path}")
    for path in written.kept:
        say(f"kept {path}")


@spec.command()
@click.argument("change", required=False)
@_from_option
@json_option
def validate(*, change: str | None, ref: str | None, as_json: bool) -> int:
    """Judge CHANGE, or all changes: one line a fault, with file and line; exit status 1 when there is one."""
    from git_planner.flows.specs.validate import judge

    judged = judge(open_repository(), change, ref)
    if as_json:
        emit(judged.document())
        return NO if judged.faults else DONE
    for each in judged.changes:
        done = sum(item.ticked for item in each.items)
        word = "not valid" if each.faults else f"valid, {len(each.items)} tasks, {done} of them ticked"
        say(f"{each.slug}: {word}")
    for fault in judged.faults:
        say(f"  {fault}")
    return NO if judged.faults else DONE


@spec.command(name="compile")
@click.argument("change")
@click.option("--plan", metavar="NAME", help="The plan; else it has the change's name.")
@_from_option
@click.option(
    "--verify-overrides",
    "overrides",
    metavar="FILE",
    help="JSON with default_verify, by_task_id, by_title, by_key.",
)
@json_option
def compile_(*, change: str, plan: str | None, ref: str | None, overrides: str | None, as_json: bool) -> int:
    """Make the tasks of a plan from CHANGE, in one commit on 'plan/NAME'.

    Compiled again, a task is known by its {#key}, or by its title, and keeps its status and evidence.
    """
    from git_planner.flows.specs.compile import compile_change

    compiled = compile_change(open_repository(), change, plan, ref=ref, overrides=overrides)
    if as_json:
        emit(compiled.document())
    else:
        _show_compiled(compiled)
    return DONE


def _show_compiled(compiled: Compiled) -> None:
    branch = f"plan/{compiled.plan}"
    if not compiled.changed:
        say(f"{branch}: nothing changed, {compiled.tasks} tasks")
    else:
        say(f"{branch}: {compiled.goal}")
    for effect in compiled.effects[:_SHOWN]:
        say(f"{effect.task}  {effect.kind:<9}  {effect.title}{f' ({effect.words})' if effect.words else ''}")
    if len(compiled.effects) > _SHOWN:
        say(f"and {len(compiled.effects) - _SHOWN} more")
    if compiled.verify:
        say(f"verify, where a task names nothing: {'; '.join(shlex.join(each) for each in compiled.verify)}")
        say(f"  (from {compiled.verify_from})")
    if compiled.unverified:
        some = ", ".join(compiled.unverified[:5]) + ("…" if len(compiled.unverified) > 5 else "")
        tell(f"without a verify command: {some}; name it with 'verify:' below the task, or in the policy")


@spec.command()
@click.argument("change")
@click.option("--force", is_flag=True, help="Move it though some of its tasks are still to be done.")
@json_option
def archive(*, change: str, force: bool, as_json: bool) -> int:
    """Move CHANGE to 'openspec/archive/DATE-CHANGE', once all of its tasks are done."""
    from git_planner.flows.specs.archive import archive as run

    archived = run(open_repository(), change, force=force)
    if as_json:
        emit(archived.document())
        return DONE
    say(f"{archived.after}: moved from {archived.before}")
    if archived.unfinished:
        say(f"{len(archived.unfinished)} of its tasks are still to be done, such as {archived.unfinished[0]}")
    say("next: commit it" if archived.staged else "next: add and commit it")
    return DONE
