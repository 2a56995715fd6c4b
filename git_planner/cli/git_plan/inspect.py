"""`git plan status`, `list`, `show` and `validate`: look at plans and documents."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from git_planner.cli.options import candidates, json_option, plan_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, NO
from git_planner.rules.printable import counted

if TYPE_CHECKING:
    from git_planner.flows.iterations.status import PlanStatus
    from git_planner.flows.plans.list_plans import PlanSummary

# Maximum length of each line of the status.
ATTEMPT, HYPOTHESIS, CHANGE_SUMMARY, OUTCOME = (140, 80, 160, 200)


@click.command()
@plan_option
@json_option
def status(plan: str | None, as_json: bool) -> int:
    """Show the current attempt of a plan and where the plan stands."""
    from git_planner.flows.iterations.status import plan_status as run
    from git_planner.flows.plans.page_store import pull_hint_if_missing

    repo = start_in_repository()
    report = run(repo, plan)
    if as_json:
        emit(report.document())
        return DONE
    pull = pull_hint_if_missing(repo, report.plan)
    if pull is not None:
        tell(f"the plan '{report.plan}' is on a remote, and not here; '{pull}' fetches it")
    for line in _status_lines(report):
        say(line)
    return DONE


def _status_lines(report: PlanStatus) -> list[str]:
    from git_planner.rules.refnames import number_text

    lines = [
        f"PLAN: {_cut(report.plan + (': ' + report.goal if report.goal else ''), ATTEMPT)}",
        *_attempt_lines(report),
    ]
    if report.best and report.best.value is not None:
        unit = report.best.metrics[0].unit
        lines.append(
            f"BEST: {number_text(report.best.value)} {unit} ({report.best.branch or report.best.commit[:12]})"
        )
        lines.append(f"PLATEAU: {report.plateau} valid attempts since")
    if report.rule and report.rule.blocked:
        lines.append(f"BLOCKED: {', '.join(report.rule.blocked)} ({report.rule.reason})")
    if report.open:
        lines.append(
            "OPEN: " + ", ".join(f"{iteration.branch} ({iteration.phase})" for iteration in report.open[-10:])
        )
    if report.packets:
        lines.append(f"PACKETS: {', '.join(report.packets[:10])}")
    if report.tasks:
        lines.append("TASKS: " + ", ".join(f"{count} {name}" for name, count in report.tasks.items()))
    return lines


def _attempt_lines(report: PlanStatus) -> list[str]:
    state = report.current.state if report.current else None
    if state is None:
        return ["ATTEMPT: none yet"]
    directive = state.directive
    outcome = "(not recorded yet)"
    if report.record is not None:
        outcome = f"{report.record.verdict}: {report.record.summary}"
    return [
        f"ATTEMPT: {_cut(f'{state.branch} from {state.base_ref} at {state.base[:12]}', ATTEMPT)}",
        f"HYPOTHESIS: {_cut(directive.primary_hypothesis, HYPOTHESIS)}",
        f"CHANGE_SUMMARY: {_cut('; '.join(directive.change_summary), CHANGE_SUMMARY)}",
        f"OUTCOME: {_cut(outcome, OUTCOME)}",
    ]


def _cut(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


@click.command(name="list")
@json_option
def list_plans(as_json: bool) -> int:
    """List all plans with their tasks, records and best; '*' marks the current one."""
    from git_planner.flows.plans.current_plan import current_plan
    from git_planner.flows.plans.list_plans import list_plans
    from git_planner.flows.plans.lost_plans import find_lost_plans

    repo = start_in_repository()
    plans, packets = list_plans(repo)
    current = current_plan(repo, None)
    lost_plans = list(find_lost_plans(repo))
    for lost in lost_plans:
        tell(f"warning: {lost.message}; bring it back with '{lost.fix}'")
    if as_json:
        emit(
            {
                "schema": "git-planner/plans@1",
                "current": current,
                "plans": [plan.document() for plan in plans],
                "packets": list(packets),
                "gone": [lost.document() for lost in lost_plans],
            }
        )
        return DONE
    if not plans and not packets:
        from git_planner.flows.plans.page_store import pull_hint

        pull = pull_hint(repo, None)
        advice = (
            f"a remote has one: '{pull}'" if pull else "start one with 'git plan offline' or 'git plan codex'"
        )
        tell(f"no plans yet; {advice}")
    for plan in plans:
        say(f"{'*' if plan.name == current else ' '} {_plan_row(plan)}")
    for name in packets:
        say(f"  {name}  packet: git plan manual apply --from {name}")
    return DONE


def _plan_row(plan: PlanSummary) -> str:
    from git_planner.rules.refnames import number_text

    tasks = ", ".join(f"{count} {name}" for name, count in plan.tasks.items()) or "no tasks"
    best = f"best {number_text(plan.best)}" if plan.best is not None else "no best"
    day = time.strftime("%Y-%m-%d", time.gmtime(plan.active))
    counts = f"{counted(plan.records, 'record')}, {best}, {tasks}"
    return f"{plan.name}  {day}  {counts}  {_cut(plan.goal, 60)}".rstrip()


@click.command()
@click.argument("ref", required=False, shell_complete=candidates("commits"))
@json_option
def show(ref: str | None, as_json: bool) -> int:
    """Show the directive of an iteration, by number, branch or commit (default: the current one)."""
    from git_planner.flows.iterations.status import look_up_iteration as run

    report = run(start_in_repository(), ref)
    assert report.state is not None
    if as_json:
        document = {"schema": "git-planner/directive-shown@1", "iteration": report.document()}
        emit({**document, "state": report.state.document()})
        return DONE
    state, directive = report.state, report.state.directive
    say(f"{state.branch}: plan '{state.plan}', from '{state.base_ref}' at {state.base[:12]}")
    say(f"planner: {state.planner['name']} ({state.planner['model'] or 'its own model'})")
    say(f"objective: {directive.objective}")
    say(f"hypothesis: {directive.primary_hypothesis}")
    modifiers = f" ({', '.join(directive.strategy_modifiers)})" if directive.strategy_modifiers else ""
    say(f"family: {directive.strategy_family}{modifiers}, risk: {directive.risk}")
    say(f"expected effect: {directive.expected_effect:+d}")
    parts = {
        "changes": directive.change_summary,
        "steps": directive.step_plan,
        "commands": directive.commands,
        "pass criteria": directive.pass_criteria,
        "requests for the next packet": directive.next_packet_requests,
    }
    for title, items in parts.items():
        if items:
            say(f"{title}:")
            for place, item in enumerate(items, 1):
                say(f"  {place}. {item}")
    return DONE


@click.command()
@click.argument("what")
@json_option
def validate(what: str, as_json: bool) -> int:
    """Validate a document against its schema: a file, 'REF:PATH', a planner branch, or '-' for stdin.

    Exit with 1 when it is not valid, and print one line per fault: a JSON pointer and the reason.
    """
    from git_planner.flows.setup.validate_document import check_document, load_document
    from git_planner.rules.documents.canonical_json import MAX_BYTES

    if what == "-":
        data, where = sys.stdin.buffer.read(MAX_BYTES + 1), "stdin"
    elif Path(what).is_file():
        data, where = load_document(None, what)
    else:
        data, where = load_document(start_in_repository(), what)
    judged = check_document(data, where)
    if as_json:
        emit(judged.document())
    else:
        word = "valid" if not judged.faults else "not valid"
        say(f"{judged.where}: {word} ({judged.kind or 'unknown kind'})")
        for fault in judged.faults:
            say(f"  {fault}")
    return NO if judged.faults else DONE
