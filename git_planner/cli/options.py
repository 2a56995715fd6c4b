"""Options and parameter types of several commands, each with one spelling and one help text."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

if TYPE_CHECKING:
    from git_planner.gitio.repository import Repository

F = TypeVar("F", bound=Callable[..., Any])


class Option(Protocol):
    """A decorator that adds an option to a command."""

    def __call__(self, command: F, /) -> F:
        """Add the option and return the command."""


PLANNERS = ("codex", "api", "manual", "offline", "command")
IMPLEMENTERS = ("codex", "command", "patches")


def candidates(kind: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """Return a completer for a parameter: 'plans', 'tasks', 'iterations' or 'commits' of the repository."""

    def complete(context: click.Context, parameter: click.Parameter, prefix: str) -> list[Any]:
        from git_planner.cli import completion_values

        return getattr(completion_values, kind)(context, parameter, prefix)  # type: ignore[no-any-return]

    return complete


class Number(click.FloatRange):
    """A finite number, optionally within bounds. float() alone also accepts 'nan' and 'inf'."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert the value, or fail with a usage error that names the option."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{str(value)!r} is not a finite number", param, ctx)
        return number

    def _describe_range(self) -> str:
        # Without bounds, click would print 'x<=None'.
        return "" if self.min is None and self.max is None else super()._describe_range()


SECONDS = Number(min=0, min_open=True, max=604_800)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
plan_option = click.option(
    "--plan",
    metavar="NAME",
    help="Plan to use (default: the checked-out iteration's plan, then planner.plan).",
    shell_complete=candidates("plans"),
)
goal_option = click.option(
    "--goal",
    type=click.Choice(["best", "threshold"]),
    help="Improve on the best, or reach a value (default: best).",
)
threshold_option = click.option("--threshold", type=Number(), metavar="N", help="Value to reach.")
goal_text_option = click.option(
    "--goal-text", metavar="TEXT", help="Goal of the plan, in prose; stored with the plan."
)
hint_option = click.option("--hint", metavar="TEXT", help="Additional advice for the agent.")
planner_option = click.option(
    "--planner",
    type=click.Choice(PLANNERS),
    help="Planner to ask (default: planner.planner, then the policy).",
)


def implementer_option_of(choices: Sequence[str]) -> Callable[[F], F]:
    """Make the option for the agent that changes the code."""
    return click.option(
        "--impl",
        "implementer",
        type=click.Choice(choices),
        help="Agent that changes the code (default: planner.implementer, then the policy).",
    )


implementer_option = implementer_option_of(IMPLEMENTERS)
model_option = click.option(
    "--model", metavar="NAME", help="Model of the agent (default: the setting, then the policy)."
)
planner_model_option = click.option(
    "--planner-model", metavar="NAME", help="Model of the planner (default: the setting, then the policy)."
)
effort_option = click.option(
    "--effort", metavar="LEVEL", help="Reasoning effort of the agent's model (default: the setting)."
)
sandbox_option = click.option(
    "--sandbox",
    type=click.Choice(["read-only", "workspace-write", "danger-full-access"]),
    help="Sandbox of the agent's client (default: the least that its work needs).",
)
allow_danger_option = click.option(
    "--allow-danger",
    is_flag=True,
    help="Run the agent without a sandbox of its own; must be given on every call.",
)
new_session_option = click.option(
    "--new-session", is_flag=True, help="Begin a new conversation with the agent."
)
yes_option = click.option(
    "--yes", is_flag=True, help="Do not ask before something is written, started or removed."
)
max_tasks_option = click.option(
    "--max-tasks",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Start at most N tasks.",
)
max_attempts_option = click.option(
    "--max-attempts", type=click.IntRange(1), metavar="N", help="Stop a loop after N attempts."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
note_option = click.option("--note", metavar="TEXT", help="Note to store with the task.")
author_option = click.option("--by", metavar="NAME", help="Author to record (default: your Git identity).")
owner_option = click.option("--owner", metavar="NAME", help="Claim holder (default: your Git identity).")
details_option = click.option(
    "--detail", "details", multiple=True, metavar="TEXT", help="Further detail; may be repeated."
)
summary_option = click.option("--summary", required=True, metavar="TEXT", help="Summary in one line.")
next_step_option = click.option("--next", "next_step", metavar="TEXT", help="Recommended next step.")
input_file_option = click.option(
    "--file", metavar="FILE", help="Read the document from FILE, or from stdin when FILE is '-'."
)


def from_option(default: str) -> Option:
    """Return the option that names the commit to start or read from.

    Args:
        default: what is used without the option, such as 'the best, then the base branch'.
    """
    return click.option(
        "--from", "from_ref", metavar="REF", help=f"Start from REF (default: {default}).",
        shell_complete=candidates("commits"),
    )  # fmt: skip


def slug_option(default: str) -> Option:
    """Return the option that names the last part of a branch."""
    return click.option("--slug", metavar="TEXT", help=f"Last part of the branch name (default: {default}).")


def timeout_option(limited: str) -> Option:
    """Return the option that limits time, passed as `seconds`.

    Args:
        limited: what the limit holds for, such as 'the planner'.
    """
    return click.option(
        "--timeout", "seconds", type=SECONDS, metavar="SECONDS", help=f"Time limit for {limited}."
    )


def force_option(effect: str) -> Option:
    """Return the flag that skips a safety check or a cache; `effect` is an imperative sentence."""
    return click.option("--force", is_flag=True, help=effect)


branch_option = click.option(
    "--branch", metavar="NAME", help="Branch to create (default: 'pr/' and the name of what is published)."
)
push_option = click.option("--push", is_flag=True, help="Also push the branch to the remote.")
body_option = click.option(
    "--body",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write the description to FILE instead of stdout.",
)
from_red_option = click.option(
    "--from-red",
    is_flag=True,
    help="Let the first valid attempt become the best of a base whose own tests fail.",
)


def reason_option(*, required: bool = False) -> Option:
    """Return the option that says why a task changes its status."""
    return click.option("--reason", required=required, metavar="TEXT", help="Reason to store with the task.")


def all_option(effect: str) -> Option:
    """Return the flag that selects all plans; `effect` is an imperative sentence."""
    return click.option("--all", "every", is_flag=True, help=effect)


def claim_remote_options(command: F) -> F:
    """Add the options that name the remote on which a claim is acquired."""
    command = click.option("--no-remote", is_flag=True, help="Do not contact a remote.")(command)
    return click.option(
        "--remote", metavar="NAME", help="Acquire the claim on this remote first (default: planner.remote)."
    )(command)


def _set_setting(_: click.Context, option: click.Parameter, value: str | None) -> None:
    """Make the value of an option that of its setting, before the command runs."""
    from git_planner.config.settings import environment_variable

    if value is not None:
        os.environ[environment_variable(str(option.name))] = value


def bench_options(command: F) -> F:
    """Add the options that choose an engine; they are settings, for all that the command calls."""
    command = click.option(
        "--scheduler",
        metavar="ADDRESS",
        expose_value=False,
        callback=_set_setting,
        help="Scheduler of the dask cluster, such as tcp://10.0.0.1:8786 (default: a cluster on this host).",
    )(command)
    return click.option(
        "--engine",
        type=click.Choice(["local", "dask"]),
        expose_value=False,
        callback=_set_setting,
        help="Run in worker processes of this host, or on a dask cluster (default: programs of this host).",
    )(command)


def engine_options(command: F) -> F:
    """Add the options that choose an engine, and where its workers fetch commits from."""
    return bench_options(
        click.option(
            "--fetch-from",
            metavar="URL",
            expose_value=False,
            callback=_set_setting,
            help="Repository that workers fetch commits from "
            "(default: this one, or a bundle for other hosts).",
        )(command)
    )


def shared_remote(repo: Repository) -> str | None:
    """Return the remote that plans are shared through, if one is configured."""
    from git_planner.config.settings import config_key, environment_variable

    return os.environ.get(environment_variable("remote")) or repo.config(config_key("remote"))
