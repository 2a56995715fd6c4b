"""`git plan`: ask a planner, plan by hand, look at plans."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from git_planner.cli.shared import (
    SECONDS,
    Number,
    candidates,
    check_place,
    emit,
    json_option,
    plan_option,
    put_text,
    say,
    tell,
)
from git_planner.errors import DONE, NO, PlannerError
from git_planner.gitio.repository import open_repository

if TYPE_CHECKING:
    from git_planner.flows.iterations.status import Status
    from git_planner.flows.planning.ask_planner import Planned, Steps
    from git_planner.flows.planning.campaign import PlanOptions
    from git_planner.flows.plans.list_plans import Listed

F = TypeVar("F", bound=Callable[..., Any])

ATTEMPT, HYPOTHESIS, CHANGE_SUMMARY, OUTCOME = 140, 80, 160, 200


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

    options, repo = _options(planner=planner, **asked), open_repository()
    if kind == "directive":
        planned = make_iteration(repo, options, tell)
        _show_planned(planned, as_json)
    else:
        steps = make_planning_plan(repo, options, tell)
        _show_steps(steps, as_json)
    return DONE


def _options(**asked: Any) -> PlanOptions:
    from git_planner.flows.planning.campaign import PlanOptions

    return PlanOptions(**asked)


def _show_planned(planned: Planned, as_json: bool) -> None:
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


@click.group()
def manual() -> None:
    """Plan by hand: a prompt to paste into any chat window, and an iteration from its answer."""


@manual.command()
@asking
def pack(as_json: bool, **asked: Any) -> int:
    """Put packet, prompt, schema and an empty answer on a branch 'plan/NNNN-slug'."""
    from git_planner.flows.planning.manual import DIRECTIVE, PROMPT
    from git_planner.flows.planning.manual import pack as run

    packed = run(open_repository(), _options(**asked), tell)
    if as_json:
        emit(packed.document())
        return DONE
    say(f"{packed.branch}: a packet from '{packed.packet['base_ref']}' at {packed.packet['base'][:12]}")
    say(f"prompt, about {packed.tokens:,} tokens: git show {packed.branch}:{PROMPT}")
    say(f"next: paste it into a chat, put the answer into '{DIRECTIVE}' on that branch and commit it,")
    say("      then: git plan manual apply")
    return DONE


@manual.command()
@click.argument("answer", required=False)
@click.option("--file", "file", metavar="FILE", help="The answer's file, '-' for stdin; same as ANSWER.")
@click.option(
    "--from-ref", metavar="REF", help="The packet's branch; else the one checked out, or the newest."
)
@click.option("--slug", metavar="TEXT", help="Last part of the branch name; else the packet's.")
@click.option("--allow-stale-base", is_flag=True, help="Go on from the base as it is now, though it moved.")
@click.option("--reply", metavar="FILE", help="Where the reply to a refused answer goes; else to stderr.")
@json_option
def apply(
    *,
    answer: str | None,
    file: str | None,
    from_ref: str | None,
    slug: str | None,
    allow_stale_base: bool,
    reply: str | None,
    as_json: bool,
) -> int:
    """Turn the answer to a packet into an iteration.

    ANSWER is a file, '-' for stdin, or a packet's branch. Without it the answer is the one on the branch.
    """
    from git_planner.flows.planning.manual import AnswerRefused
    from git_planner.flows.planning.manual import apply as run

    if answer is not None and answer != "-" and not Path(answer).is_file() and answer.startswith("plan/"):
        answer, from_ref = None, answer
    source = file or answer
    if reply is not None:
        check_place(reply)
    try:
        planned = run(
            open_repository(),
            from_ref,
            tell,
            pasted=_pasted(source) if source else None,
            slug=slug,
            allow_stale_base=allow_stale_base,
        )
    except AnswerRefused as refused:
        _give(refused.reply, reply)
        raise
    _show_planned(planned, as_json)
    return DONE


def _pasted(source: str) -> tuple[str, bytes]:
    from git_planner.flows.planning.manual import PASTED_BYTES

    if source == "-":
        return "stdin", sys.stdin.buffer.read(PASTED_BYTES + 1)
    try:
        with Path(source).open("rb") as file:
            return source, file.read(PASTED_BYTES + 1)
    except OSError as error:
        raise PlannerError(
            "E_USAGE",
            f"'{source}' cannot be read: {error.strerror}",
            hint="name the file that has the answer",
        ) from None


def _give(text: str, reply: str | None) -> None:
    if reply is None:
        tell(text)
        return
    put_text(reply, text)
    tell(f"the reply to paste back is in '{reply}'")


@click.command()
@plan_option
@json_option
def status(plan: str | None, as_json: bool) -> int:
    """Show the current attempt of a plan and where the plan stands."""
    from git_planner.flows.iterations.status import status as run

    found = run(open_repository(), plan)
    if as_json:
        emit(found.document())
        return DONE
    for line in _status_lines(found):
        say(line)
    return DONE


def _status_lines(found: Status) -> list[str]:
    from git_planner.rules.refnames import number

    lines = [
        f"PLAN: {_cut(found.plan + (': ' + found.goal if found.goal else ''), ATTEMPT)}",
        *_attempt(found),
    ]
    if found.best and found.best.value is not None:
        unit = found.best.metrics[0].unit
        lines.append(
            f"BEST: {number(found.best.value)} {unit} ({found.best.branch or found.best.commit[:12]})"
        )
        lines.append(f"PLATEAU: {found.plateau} valid attempts since")
    if found.rule and found.rule.blocked:
        lines.append(f"BLOCKED: {', '.join(found.rule.blocked)} ({found.rule.reason})")
    if found.open:
        lines.append("OPEN: " + ", ".join(f"{each.branch} ({each.phase})" for each in found.open[-10:]))
    if found.packets:
        lines.append(f"PACKETS: {', '.join(found.packets[:10])}")
    if found.tasks:
        lines.append("TASKS: " + ", ".join(f"{count} {name}" for name, count in found.tasks.items()))
    return lines


def _attempt(found: Status) -> list[str]:
    state = found.current.state if found.current else None
    if state is None:
        return ["ATTEMPT: none yet"]
    directive = state.directive
    outcome = "(not recorded yet)"
    if found.record is not None:
        outcome = f"{found.record.verdict}: {found.record.summary}"
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
    """List all plans with their tasks, records and best."""
    from git_planner.flows.plans.list_plans import listing

    plans, packets = listing(open_repository())
    if as_json:
        emit(
            {
                "schema": "git-planner/plans@1",
                "plans": [each.document() for each in plans],
                "packets": list(packets),
            }
        )
        return DONE
    if not plans and not packets:
        tell("no plans yet; make one with 'git plan offline' or 'git plan codex'")
    for each in plans:
        say(_row(each))
    for name in packets:
        say(f"{name}  packet: git plan manual apply --from-ref {name}")
    return DONE


def _row(plan: Listed) -> str:
    from git_planner.rules.refnames import number

    tasks = ", ".join(f"{count} {name}" for name, count in plan.tasks.items()) or "no tasks"
    best = f"best {number(plan.best)}" if plan.best is not None else "no best"
    day = time.strftime("%Y-%m-%d", time.gmtime(plan.active))
    return f"{plan.name}  {day}  {plan.records} records, {best}, {tasks}  {_cut(plan.goal, 60)}".rstrip()


@click.command()
@click.argument("ref", required=False, shell_complete=candidates("commits"))
@json_option
def show(ref: str | None, as_json: bool) -> int:
    """Show the directive of an iteration: its number, branch or commit; else the current one's."""
    from git_planner.flows.iterations.status import show as run

    found = run(open_repository(), ref)
    assert found.state is not None
    if as_json:
        document = {"schema": "git-planner/directive-shown@1", "iteration": found.document()}
        emit({**document, "state": found.state.document()})
        return DONE
    state, directive = found.state, found.state.directive
    say(f"{state.branch}: plan '{state.plan}', from '{state.base_ref}' at {state.base[:12]}")
    say(f"planner: {state.planner['name']} ({state.planner['model'] or 'its own model'})")
    say(f"objective: {directive.objective}")
    say(f"hypothesis: {directive.primary_hypothesis}")
    modifiers = f" ({', '.join(directive.strategy_modifiers)})" if directive.strategy_modifiers else ""
    say(f"family: {directive.strategy_family}{modifiers}, risk: {directive.risk}")
    say(f"expected effect: {directive.expected_effect_cycles:+d}")
    parts = {
        "changes": directive.change_summary,
        "steps": directive.step_plan,
        "commands": directive.commands,
        "pass criteria": directive.pass_criteria,
        "wanted in the next packet": directive.next_packet_requests,
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
    """Judge a document of any kind: a file, 'REF:PATH', a branch of ours, or '-' for stdin.

    Exit status 1 when it is not valid, with one line a fault: a JSON pointer and what is wrong there.
    """
    from git_planner.flows.setup.validate_document import judge_document, load
    from git_planner.rules.documents.canonical_json import MAX_BYTES

    if what == "-":
        data, where = sys.stdin.buffer.read(MAX_BYTES + 1), "stdin"
    elif Path(what).is_file():
        data, where = load(None, what)
    else:
        data, where = load(open_repository(), what)
    judged = judge_document(data, where)
    if as_json:
        emit(judged.document())
    else:
        word = "valid" if not judged.faults else "not valid"
        say(f"{judged.where}: {word} ({judged.kind or 'no kind of ours'})")
        for fault in judged.faults:
            say(f"  {fault}")
    return NO if judged.faults else DONE
