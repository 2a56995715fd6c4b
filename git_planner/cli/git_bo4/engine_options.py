"""Options that say where the jobs of a tournament run."""

from __future__ import annotations

import os

import click

from git_planner.cli.options import F
from git_planner.config.settings import environment_variable


def _set(_: click.Context, option: click.Parameter, value: str | None) -> None:
    """Make the value of an option that of its setting, before the command runs."""
    if value is not None:
        os.environ[environment_variable(str(option.name))] = value


_OPTIONS = (
    click.option(
        "--engine",
        type=click.Choice(["local", "dask"]),
        expose_value=False,
        callback=_set,
        help="Run in worker processes of this host, or on a dask cluster (default: programs of this host).",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        expose_value=False,
        callback=_set,
        help="Scheduler of the dask cluster, such as tcp://10.0.0.1:8786 (default: a cluster on this host).",
    ),
    click.option(
        "--fetch-from",
        metavar="URL",
        expose_value=False,
        callback=_set,
        help="Repository that workers fetch commits from (default: this one, or a bundle for other hosts).",
    ),
)


def engine_options(command: F) -> F:
    """Add the options of an engine to a command; they are settings, for all that it calls."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
