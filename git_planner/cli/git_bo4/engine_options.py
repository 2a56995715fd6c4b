"""Options that say where the jobs of a tournament run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from git_planner.cli.options import F
from git_planner.errors import PlannerError

if TYPE_CHECKING:
    from git_planner.flows.tournament.gates.engine_gates import EngineChoice

_OPTIONS = (
    click.option(
        "--engine",
        type=click.Choice(["local", "dask"]),
        help="Run in worker processes of this host, or on a dask cluster (default: in this process).",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Scheduler of the dask cluster, such as tcp://10.0.0.1:8786 (default: a cluster on this host).",
    ),
    click.option(
        "--fetch-from",
        metavar="URL",
        help="Repository that workers fetch commits from (default: this one, or a bundle for other hosts).",
    ),
)


def engine_options(command: F) -> F:
    """Add the options of an engine to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen_engine(name: str | None, scheduler: str | None, fetch_from: str | None) -> EngineChoice | None:
    """Return the engine that the options describe; None to run in this process.

    Raises:
        PlannerError: E_USAGE for options that belong to another engine.
    """
    from git_planner.flows.tournament.gates.engine_gates import EngineChoice

    if name is None and (scheduler or fetch_from):
        option = "--scheduler" if scheduler else "--fetch-from"
        raise PlannerError("E_USAGE", f"'{option}' needs '--engine'", hint="git bo4 gate -h")
    return None if name is None else EngineChoice(name, scheduler, fetch_from)
