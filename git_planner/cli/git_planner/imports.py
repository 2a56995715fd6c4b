"""`git planner import`: take over what the session planner 'codex-planner' left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from git_planner.cli.options import dry_run_option, json_option, plan_option, yes_option
from git_planner.cli.output import ask, emit, say
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, NO, PlannerError
from git_planner.rules.printable import counted

if TYPE_CHECKING:
    from git_planner.flows.imports.board import BoardImport
    from git_planner.flows.imports.config import ConfigImport


@click.group("import")
def import_() -> None:
    """Import the settings or the board of the session planner 'codex-planner'."""


@import_.command(short_help="Import its config.toml into config.yml.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@dry_run_option
@yes_option
@json_option
def config(file: Path | None, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Import settings into ~/.config/git-planner/config.yml.

    Reads FILE (default: the one in CODEX_ORCHESTRATOR_CONFIG, then ~/.config/codex-orchestrator/config.toml).
    Values that config.yml has already stay as they are.
    """
    from git_planner.flows.imports.config import plan_config_import, write_config_import

    planned = plan_config_import(file)
    if not as_json:
        _say_config(planned)
    wanted = bool(planned.text) and not dry_run
    if wanted and not yes:
        agreed = None if as_json else ask(f"Write to '{planned.target}'?")
        if agreed is None:
            raise PlannerError(
                "E_USAGE",
                f"'{planned.target}' is yours, and there is no terminal to ask on",
                hint="look with '--dry-run', then add '--yes'",
            )
        if not agreed:
            return NO
    if wanted:
        write_config_import(planned)
    if as_json:
        emit(planned.document(written=wanted))
    else:
        say(f"written: '{planned.target}'" if wanted else "nothing was written")
    return DONE


@import_.command(short_help="Import its board into a plan.")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@plan_option
@dry_run_option
@json_option
def board(path: Path | None, plan: str | None, dry_run: bool, as_json: bool) -> int:
    """Import the tasks, handoffs and texts of a board into a plan, in one commit.

    PATH is the folder '.codex' (default: the repository's). Each task and text is imported once, also when
    the command is run again. Tasks that were in progress are todo, sessions are listed only, and everything
    that has no place in a plan is reported.
    """
    from git_planner.flows.imports.board import import_board

    done = import_board(start_in_repository(), path, plan, dry_run=dry_run)
    if as_json:
        emit(done.document())
    else:
        _say_board(done)
    return done.exit


def _say_config(planned: ConfigImport) -> None:
    say(f"from '{planned.source}' to '{planned.target}':")
    for value in planned.values:
        where = f"{value.setting} = {value.value}" if value.is_new else value.note
        say(f"  {value.key} -> {where}")
    for line in planned.variables:
        say(f"  {line}")


def _say_board(done: BoardImport) -> None:
    verb = "would be imported" if done.dry_run else "imported"
    say(f"plan '{done.plan}': {counted(len(done.tasks), 'task')} {verb}, {len(done.known)} known already")
    for old, task in done.tasks:
        change = task.status if old.old_status == task.status else f"{old.old_status} -> {task.status}"
        say(f"  {old.id} -> {task.id}  {change}  {task.title}")
    for name in done.documents:
        say(f"  {name}")
    for title, lines in (("sessions, of which none is started", done.sessions), ("left out", done.left_out)):
        if lines:
            say(f"{title}:")
            for line in lines:
                say(f"  {line}")
