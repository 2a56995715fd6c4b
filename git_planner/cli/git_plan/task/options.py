"""Options and arguments of the commands of `git plan task`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from git_planner.cli.git_plan.task.render import Part
from git_planner.cli.options import candidates, json_option, plan_option
from git_planner.cli.start import start_in_repository
from git_planner.gitio.repository import Repository

F = TypeVar("F", bound=Callable[..., Any])

task_argument = click.argument("task_id", metavar="TASK", shell_complete=candidates("tasks"))


def repeatable(name: str, into: str, metavar: str, text: str) -> Callable[[F], F]:
    """Return an option that may be repeated."""
    return click.option(name, into, multiple=True, metavar=metavar, help=f"{text}; may be repeated.")


notes_option = repeatable("--note", "notes", "TEXT", "Note to store with the task")


def fields(command: F) -> F:
    """Add the options that set fields of a task."""
    options: list[Callable[[F], F]] = [
        click.option("--intent", metavar="TEXT", help="Purpose of the task."),
        repeatable("--write-scope", "write_scope", "PATTERN", "Path pattern that the task may change"),
        repeatable("--read-scope", "read_scope", "PATTERN", "Path pattern that the task may read"),
        repeatable("--acceptance", "acceptance", "TEXT", "Acceptance criterion"),
        repeatable("--action", "actions", "TEXT", "Step to carry out"),
        repeatable(
            "--verify", "verify", "COMMAND", "Command that must succeed for the task to count as done"
        ),
        repeatable("--after", "dependencies", "TASK", "Task that must be done first"),
        notes_option,
        plan_option,
        json_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def open_plan(plan: str | None) -> tuple[Repository, str]:
    """Open the repository and return it with the plan's name (default: the current plan)."""
    from git_planner.flows.plans.current_plan import current_plan

    repo = start_in_repository()
    return repo, current_plan(repo, plan)


def part_options(command: F) -> F:
    """Add the options that choose a part of a list of tasks, passed as `start`, `limit` and `brief`."""
    for option in (
        click.option("--brief", is_flag=True, help="With --json, print only the fields that the list shows."),
        click.option("--limit", type=click.IntRange(1), metavar="N", help="List at most N tasks."),
        click.option(
            "--start", metavar="TASK", help="List from TASK on.", shell_complete=candidates("tasks")
        ),
    ):
        command = option(command)
    return command


def part_of(*, start: str | None, limit: int | None, brief: bool) -> Part:
    """Return the part of a list that the options choose."""
    from git_planner.rules.tasks.task import task_number

    return Part(0 if start is None else task_number(start), limit, brief)
