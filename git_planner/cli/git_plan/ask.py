"""`git plan`: ask a planner, plan by hand, look at plans."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from git_planner.cli.options import SECONDS, Number, json_option, plan_option
from git_planner.cli.output import emit, say, tell
from git_planner.errors import DONE
from git_planner.gitio.repository import open_repository

if TYPE_CHECKING:
    from git_planner.flows.planning.ask_planner import Planned, Steps
    from git_planner.flows.planning.campaign import PlanOptions

F = TypeVar("F", bound=Callable[..., Any])


def asking(command: F) -> F:
    """The options of every command that makes a packet."""
    options = [
        plan_option,
        click.option("--goal", type=click.Choice(["best", "threshold"]), help="Improve, or reach a value."),
        click.option("--threshold", type=Number(), metavar="N", help="The value to reach."),
        click.option("--goal-text", metavar="TEXT", help="What the plan is for, in words."),
        click.option("--slug", metavar="TEXT", help="Last part of the branch name."),
        click.option(
            "--from", "from_ref", metavar="REF", help="Start here; else at the best, else at the base."
        ),
        click.option("--model", metavar="NAME", help="The planner's model."),
        click.option("--hint", metavar="TEXT", help="What else the planner should know."),
        click.option(
            "--log-tail",
            type=click.IntRange(0, 1000),
            default=20,
            show_default=True,
            metavar="N",
            help="Rows of the ledger in the packet.",
        ),
        json_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def planning(command: F) -> F:
    """The options of every command that asks a planner."""
    kind = click.option(
        "--kind",
        type=click.Choice(["directive", "planning-plan"]),
        default="directive",
        show_default=True,
        help="One directive, or several steps that become tasks.",
    )
    timeout = click.option(
        "--timeout",
        "seconds",
        type=SECONDS,
        metavar="SECONDS",
        help="The planner's deadline.",
    )
    return asking(kind(timeout(command)))


def _ask(planner: str, kind: str, as_json: bool, asked: dict[str, Any]) -> int:
    from git_planner.flows.planning.ask_planner import make_iteration, make_planning_plan

    options, repo = plan_options(planner=planner, **asked), open_repository()
    if kind == "directive":
        planned = make_iteration(repo, options, tell)
        show_planned(planned, as_json)
    else:
        steps = make_planning_plan(repo, options, tell)
        _show_steps(steps, as_json)
    return DONE


def plan_options(**asked: Any) -> PlanOptions:
    """Return the options of a flow from those of a command."""
    from git_planner.flows.planning.campaign import PlanOptions

    return PlanOptions(**asked)


def show_planned(planned: Planned, as_json: bool) -> None:
    """Print a planned iteration."""
    if as_json:
        emit(planned.document())
        return
    state = planned.state
    say(f"{state.branch}: plan '{state.plan}', from '{state.base_ref}' at {state.base[:12]}")
    say(f"objective: {state.directive.objective}")
    say(f"hypothesis: {state.directive.primary_hypothesis}")
    say(f"family: {state.directive.strategy_family}, risk: {state.directive.risk}")
    say(f"next: git iterate resume {state.iteration}")


def _show_steps(steps: Steps, as_json: bool) -> None:
    if as_json:
        emit(steps.document())
        return
    say(f"{steps.ref.removeprefix('refs/heads/')}: {steps.answered['plan_summary']}")
    for task in steps.tasks:
        after = f" (after {', '.join(task['dependencies'])})" if task["dependencies"] else ""
        say(f"{task['id']}  {task['status']:<12}  {task['title']}{after}")


@click.command()
@planning
def codex(kind: str, as_json: bool, **asked: Any) -> int:
    """Ask codex, with a ChatGPT login, for the next directive."""
    return _ask("codex", kind, as_json, asked)


@click.command()
@planning
def api(kind: str, as_json: bool, **asked: Any) -> int:
    """Ask codex, with an API key, for the next directive."""
    return _ask("api", kind, as_json, asked)


@click.command()
@planning
def offline(kind: str, as_json: bool, **asked: Any) -> int:
    """Make the next directive without network or model."""
    return _ask("offline", kind, as_json, asked)


@click.command(name="command")
@planning
def command_planner(kind: str, as_json: bool, **asked: Any) -> int:
    """Ask the program that the policy names for the next directive."""
    return _ask("command", kind, as_json, asked)
