"""Options and parameter types that several commands take."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from git_planner.gitio.repository import Repository

F = TypeVar("F", bound=Callable[..., Any])
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")


def candidates(kind: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """What shells complete for a parameter: 'plans', 'tasks', 'iterations' or 'commits' of the repository."""

    def found(context: click.Context, parameter: click.Parameter, begun: str) -> list[Any]:
        from git_planner.cli import completion_values as known

        return getattr(known, kind)(context, parameter, begun)  # type: ignore[no-any-return]

    return found


class Number(click.FloatRange):
    """A finite number, within bounds where there are some. To float(), 'nan' and 'inf' are numbers, too."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or refuse it as a usage error that names the option."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{str(value)!r} is not a finite number", param, ctx)
        return found

    def _describe_range(self) -> str:
        # Without bounds, click would say 'x<=None'.
        return "" if self.min is None and self.max is None else super()._describe_range()


SECONDS = Number(min=0, min_open=True, max=604_800)
plan_option = click.option(
    "--plan",
    metavar="NAME",
    help="The plan; else the iteration's own, or 'planner.plan'.",
    shell_complete=candidates("plans"),
)


def claim_remote_options(command: F) -> F:
    """The options that say where else a claim is made."""
    command = click.option("--no-remote", is_flag=True, help="Ask no remote.")(command)
    return click.option(
        "--remote", metavar="NAME", help="Claim on this remote first; else on 'planner.remote' if it is set."
    )(command)


def shared_remote(repo: Repository) -> str | None:
    """The remote that plans are shared through, where a person has set one."""
    from git_planner.config.settings import config_key, environment_variable

    return os.environ.get(environment_variable("remote")) or repo.config(config_key("remote"))
