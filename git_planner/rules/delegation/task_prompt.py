"""The directive and the prompt with which a task is delegated to an agent. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from git_planner.rules.planning.directive import FAMILY_PREFIX, Directive
from git_planner.rules.tasks.task import Task

FAMILY = FAMILY_PREFIX + "task"
_MAX_STEPS, _MAX_COMMANDS, _MAX_LINE = 10, 6, 2000
# Share of the prompt for notes, answers and the handoff.
_TALK_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class TaskContext:
    """The context of a delegated task.

    `run` is the id of the run, `program` the command line for `git plan`. `policy` are lines about the paths
    that may and may not change, besides the task's own scope. `before` are the tasks it depends on.
    """

    plan: str
    goal: str
    run: str
    policy: Sequence[str] = ()
    before: Sequence[Task] = ()
    handoff: str = ""
    reports: bool = True
    program: str = "git plan"


def task_directive(task: Task) -> Directive:
    """Build the directive of a task, which the first commit of its branch holds."""
    steps = [_line(action) for action in task.actions[:_MAX_STEPS]] or [_line(task.title)]
    if len(task.actions) > _MAX_STEPS:
        steps.append(f"do the other {len(task.actions) - _MAX_STEPS} actions of the task")
    while len(steps) < 3:
        steps.append("look at what has changed" if len(steps) == 1 else "say how it ended")
    commands = [_line(shlex.join(command)) for command in task.verify[:_MAX_COMMANDS]]
    return Directive(
        objective=_line(task.title),
        primary_hypothesis=_line(task.intent) if task.intent.strip() else "The plan asks for it",
        strategy_family=FAMILY,
        strategy_modifiers=(),
        risk="Medium",
        expected_effect=0,
        change_summary=(_line(task.title),),
        step_plan=tuple(steps[:12]),
        commands=tuple(commands or ["git diff --stat"]),
        pass_criteria=tuple([_line(criterion) for criterion in task.acceptance[:6]] or ["the task is done"]),
        next_packet_requests=(),
        did_web_search=False,
    )


def render_task_prompt(fixed: str, task: Task, context: TaskContext, budget: int) -> str:
    """Render the prompt of a task in at most `budget` characters; long parts are cut, the rules never are.

    Args:
        fixed: the text at the start of every prompt.
        task: the claimed task.
        context: the context of the task.
        budget: the largest prompt, in characters.
    """
    rules = [fixed.rstrip(), *(_report_rules(task, context) if context.reports else [])]
    facts = "\n\n".join(_facts(task, context))
    room = max(1000, budget - sum(len(rule) + 2 for rule in rules))
    talk = "\n\n".join(_talk(task, context))
    talk = _keep_end(talk, max(int(room * _TALK_SHARE), room - len(facts)))
    facts = _keep_start(facts, room - len(talk) - 2)
    return "\n\n".join(part for part in (rules[0], facts, talk, *rules[1:]) if part) + "\n"


def _facts(task: Task, context: TaskContext) -> Iterator[str]:
    yield f"## Task {task.id}: {task.title}"
    yield from [task.intent] if task.intent.strip() else []
    yield from [f"It is part of the plan '{context.plan}': {context.goal}"] if context.goal else []
    for title, items in (
        ("Actions", task.actions),
        ("May change (nothing else)", task.write_scope),
        ("May read", task.read_scope),
        ("Rules of the repository", context.policy),
        ("Done when", task.acceptance),
        ("Verified by", [shlex.join(command) for command in task.verify]),
        ("Risks", task.risks),
        ("References", task.references),
        ("What it builds on", [_dependency_line(other) for other in context.before]),
    ):
        if items:
            yield "\n".join([f"### {title}", "", *(f"- {item}" for item in items)])


def _talk(task: Task, context: TaskContext) -> Iterator[str]:
    if task.notes:
        yield "\n".join(["### Notes", "", *(f"- {note}" for note in task.notes)])
    for question in task.inputs:
        if question.answer is not None:
            answer = f"Answer of {question.answer.by}: {question.answer.text}"
            yield f"### Asked before: {question.summary}\n\n{answer}"
    if context.handoff:
        yield f"### Handoff\n\n{context.handoff.strip()}"


def _report_rules(task: Task, context: TaskContext) -> list[str]:
    call = f"{context.program} task result {task.id} --run {context.run}"
    return [
        "\n".join(
            [
                "## How to end",
                "",
                "Run exactly one of these before you end; without one the task counts as blocked:",
                "",
                f"    {call} --status done --summary 'what you did'",
                f"    {call} --status partial --summary 'what is missing'",
                f"    {call} --status failed --summary 'why'",
                f"    {call} --status blocked --summary 'what is in the way'",
                f"    {call} --status needs_input --summary 'in a line' --question 'what you must know'",
                "",
                "'--detail TEXT' may be repeated; '--next TEXT' is what you would do next.",
            ]
        )
    ]


def _dependency_line(task: Task) -> str:
    text = task.notes[-1] if task.notes else task.title
    return f"{task.id}, {task.status}: {_line(text)[:500]}"


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 1] + "…"


def _keep_start(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(0, room - 12)].rstrip() + "\n… (cut)"


def _keep_end(text: str, room: int) -> str:
    return text if len(text) <= room else "(cut) …\n" + text[len(text) - max(0, room - 9) :].lstrip()
