"""A task as work for an agent: the directive of its iteration, and the text of its prompt. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from git_planner.rules.planning.directive import FAMILY_PREFIX, Directive
from git_planner.rules.tasks.task import Task

FAMILY = FAMILY_PREFIX + "task"
_MOST_STEPS, _MOST_COMMANDS, _LINE = 10, 6, 2000
# The share of a prompt that the handoff and the notes may take.
_TALK = 0.4


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What surrounds a task's work.

    `run` is the run's id, `program` how `git plan` is called where a shell may not know it.
    `policy` are lines about what may and may not change beside the task's own scope.
    `before` are the tasks it depends on.
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
    """The directive that a task stands for; its branch begins with it."""
    steps = [_line(action) for action in task.actions[:_MOST_STEPS]] or [_line(task.title)]
    if len(task.actions) > _MOST_STEPS:
        steps.append(f"do the other {len(task.actions) - _MOST_STEPS} actions of the task")
    while len(steps) < 3:
        steps.append("look at what has changed" if len(steps) == 1 else "say how it ended")
    commands = [_line(shlex.join(command)) for command in task.verify[:_MOST_COMMANDS]]
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


def render_task_prompt(fixed: str, task: Task, setting: TaskContext, budget: int) -> str:
    """The prompt of a task, of at most `budget` characters; what is long is cut, the rules never are.

    Args:
        fixed: the text that every task's prompt begins with.
        task: the task, as it was claimed.
        setting: what surrounds it.
        budget: the largest prompt, in characters.
    """
    rules = [fixed.rstrip(), *(_ending(task, setting) if setting.reports else [])]
    facts = "\n\n".join(_facts(task, setting))
    room = max(1000, budget - sum(len(rule) + 2 for rule in rules))
    talk = "\n\n".join(_talk(task, setting))
    talk = _end(talk, max(int(room * _TALK), room - len(facts)))
    facts = _start(facts, room - len(talk) - 2)
    return "\n\n".join(part for part in (rules[0], facts, talk, *rules[1:]) if part) + "\n"


def _facts(task: Task, setting: TaskContext) -> Iterator[str]:
    yield f"## Task {task.id}: {task.title}"
    yield from [task.intent] if task.intent.strip() else []
    yield from [f"It is a part of the plan '{setting.plan}': {setting.goal}"] if setting.goal else []
    for title, items in (
        ("Actions", task.actions),
        ("May change (nothing else)", task.write_scope),
        ("May read", task.read_scope),
        ("Rules of the repository", setting.policy),
        ("Done when", task.acceptance),
        ("Verified by", [shlex.join(command) for command in task.verify]),
        ("Risks", task.risks),
        ("References", task.references),
        ("What it builds on", [_before(other) for other in setting.before]),
    ):
        if items:
            yield "\n".join([f"### {title}", "", *(f"- {item}" for item in items)])


def _talk(task: Task, setting: TaskContext) -> Iterator[str]:
    if task.notes:
        yield "\n".join(["### Notes", "", *(f"- {note}" for note in task.notes)])
    for question in task.inputs:
        if question.answer is not None:
            answer = f"Answer of {question.answer.by}: {question.answer.text}"
            yield f"### Asked before: {question.summary}\n\n{answer}"
    if setting.handoff:
        yield f"### Handoff\n\n{setting.handoff.strip()}"


def _ending(task: Task, setting: TaskContext) -> list[str]:
    call = f"{setting.program} task result {task.id} --run {setting.run}"
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


def _before(task: Task) -> str:
    said = task.notes[-1] if task.notes else task.title
    return f"{task.id}, {task.status}: {_line(said)[:500]}"


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"


def _start(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(0, room - 12)].rstrip() + "\n… (cut)"


def _end(text: str, room: int) -> str:
    return text if len(text) <= room else "(cut) …\n" + text[len(text) - max(0, room - 9) :].lstrip()
