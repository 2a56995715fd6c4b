"""Options and arguments that the commands of `git plan task` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from git_planner.cli.options import candidates, json_option, plan_option
from git_planner.gitio.repository import Repository, open_repository

F = TypeVar("F", bound=Callable[..., Any])

task_argument = click.argument("task_id", metavar="TASK", shell_complete=candidates("tasks"))


def many(name: str, into: str, metavar: str, text: str) -> Callable[[F], F]:
    """An option that may be repeated."""
    return click.option(name, into, multiple=True, metavar=metavar, help=f"{text}; may be repeated.")


def fields(command: F) -> F:
    """The options that set fields of a task."""
    options = [
        click.option("--intent", metavar="TEXT", help="Why it is there, and what it is about."),
        many("--write-scope", "write_scope", "PATTERN", "What it may change"),
        many("--read-scope", "read_scope", "PATTERN", "What it may read"),
        many("--acceptance", "acceptance", "TEXT", "How to tell that it is done"),
        many("--action", "actions", "TEXT", "What to do"),
        many("--verify", "verify", "COMMAND", "A command whose success is the evidence"),
        many("--after", "dependencies", "TASK", "A task that must be done before"),
        many("--note", "notes", "TEXT", "A remark"),
        plan_option,
        json_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def open_plan(plan: str | None) -> tuple[Repository, str]:
    """Open the repository and find the plan: the named one, or the current one."""
    from git_planner.flows.plans.current_plan import current_plan

    repo = open_repository()
    return repo, current_plan(repo, plan)
