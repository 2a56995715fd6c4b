"""`git plan codex`, `api`, `offline` and `command`: ask a planner for the next directive."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from git_planner.cli import options
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE
from git_planner.rules import refnames

if TYPE_CHECKING:
    from git_planner.flows.planning.ask_planner import PlannedIteration, PlannedSteps
    from git_planner.flows.planning.campaign import PlanOptions

F = TypeVar("F", bound=Callable[..., Any])


def packet_options(command: F) -> F:
    """Add the options of every command that builds a packet."""
    added: list[Callable[[F], F]] = [
        options.plan_option,
        options.goal_option,
        options.threshold_option,
        options.goal_text_option,
        options.slug_option("from the objective"),
        options.from_option("the best, then the base branch"),
        options.model_option,
        options.hint_option,
        click.option(
            "--log-tail",
            type=click.IntRange(0, 1000),
            default=20,
            show_default=True,
            metavar="N",
            help="Number of ledger rows to put into the packet.",
        ),
        options.json_option,
    ]
    for option in reversed(added):
        command = option(command)
    return command


def planner_options(command: F) -> F:
    """Add the options of every command that asks a planner."""
    kind = click.option(
        "--kind",
        type=click.Choice(["directive", "planning-plan"]),
        default="directive",
        show_default=True,
        help="Ask for one directive, or for several steps that become tasks.",
    )
    return packet_options(kind(options.timeout_option("the planner")(command)))


def _ask_planner(planner: str, kind: str, as_json: bool, asked: dict[str, Any]) -> int:
    from git_planner.flows.planning.ask_planner import make_iteration, make_planning_plan

    request, repo = plan_options(planner=planner, **asked), start_in_repository()
    if kind == "directive":
        planned = make_iteration(repo, request, tell)
        show_planned(planned, as_json)
    else:
        steps = make_planning_plan(repo, request, tell)
        _show_steps(steps, as_json)
    return DONE


def plan_options(**asked: Any) -> PlanOptions:
    """Return the flow's options from the options of a command."""
    from git_planner.flows.planning.campaign import PlanOptions

    return PlanOptions(**asked)


def show_planned(planned: PlannedIteration, as_json: bool) -> None:
    """Print a planned iteration."""
    if as_json:
        emit(planned.document())
        return
    state = planned.state
    say(f"{state.branch}: plan '{state.plan}', from '{state.base_ref}' at {state.base[:12]}")
    say(f"objective: {state.directive.objective}")
    say(f"hypothesis: {state.directive.primary_hypothesis}")
    say(f"family: {state.directive.strategy_family}, risk: {state.directive.risk}")
    say(f"next: git iterate resume {state.iteration}, which gives it to an agent")
    say(f"by hand: git switch {state.branch}, commit the change, then")
    say(f"         git iterate resume {state.iteration} --impl manual")


def _show_steps(steps: PlannedSteps, as_json: bool) -> None:
    if as_json:
        emit(steps.document())
        return
    say(f"{refnames.short_name(steps.ref)}: {steps.planning_plan['plan_summary']}")
    for task in steps.tasks:
        after = f" (after {', '.join(task['dependencies'])})" if task["dependencies"] else ""
        say(f"{task['id']}  {task['status']:<12}  {task['title']}{after}")


@click.command()
@planner_options
def codex(kind: str, as_json: bool, **asked: Any) -> int:
    """Ask codex, with a ChatGPT login, for the next directive."""
    return _ask_planner("codex", kind, as_json, asked)


@click.command()
@planner_options
def api(kind: str, as_json: bool, **asked: Any) -> int:
    """Ask codex, with an API key, for the next directive."""
    return _ask_planner("api", kind, as_json, asked)


@click.command()
@planner_options
def offline(kind: str, as_json: bool, **asked: Any) -> int:
    """Write the next directive without network or model."""
    return _ask_planner("offline", kind, as_json, asked)


@click.command(name="command")
@planner_options
def command_planner(kind: str, as_json: bool, **asked: Any) -> int:
    """Ask the program that the policy names for the next directive."""
    return _ask_planner("command", kind, as_json, asked)
