"""What is written beside a compiled plan for people and agents: CONTEXT.md and MASTER.md. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from git_planner.rules.specs.change import ARCHIVE, PROJECT, SpecChange, change_folder
from git_planner.rules.specs.compile import KINDS, CompileEffect

CONTEXT, MASTER = "CONTEXT.md", "MASTER.md"
_MOST_COMMANDS, _MOST_ROWS = 50, 20
_HEADS = {
    "added": "added",
    "changed": "changed by the spec",
    "done": "done, by a ticked box",
    "reopened": "back to work",
    "restored": "in the spec again",
    "cancelled": "cancelled",
    "kept": "kept, though no longer in the spec",
    "refused": "left as they are",
}


def render_context(plan: Mapping[str, Any], change: SpecChange) -> str:
    """What whoever works on a plan has to know: where the truth is, what holds, where to begin, how to check.

    Args:
        plan: the plan's document with the tasks of the change in it.
        change: the change that is compiled.
    """
    changes = {task["spec"]["change"] for task in plan["tasks"] if task["spec"]}
    sources = [f"`{PROJECT}`: what holds for every change"]
    sources += [
        f"`{change_folder(slug)}/`, later in `{ARCHIVE}/`: what is wanted and why" for slug in sorted(changes)
    ]
    sources += [f"`.plans/{plan['name']}/plan.json`: the tasks and where they stand"]
    parts = {
        "Source of truth": sources,
        "Invariants": change.invariants or [f"none are named in `{PROJECT}`"],
        "Entrypoints": change.entrypoints or [f"none are named in `{PROJECT}`"],
        "Verification commands": list(_commands(plan["tasks"]))
        or ["none; only a person's word closes a task"],
    }
    lines = [
        f"# {plan['name']}: context",
        "",
        "<!-- made by 'git plan spec compile'; changes made here are lost -->",
    ]
    for title, items in parts.items():
        lines += ["", f"## {title}", "", *(f"- {item}" for item in items)]
    return "\n".join(lines) + "\n"


def _commands(tasks: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    found = dict.fromkeys(shlex.join(run) for task in tasks for run in task["verify"])
    for place, command in enumerate(found):
        if place == _MOST_COMMANDS:
            yield f"and {len(found) - place} more; see the tasks"
            return
        # A command that holds a back quote needs a longer fence around it.
        yield f"`` {command} ``" if "`" in command else f"`{command}`"


def append_log(before: str, plan: str, head: str, effects: Sequence[CompileEffect]) -> str:
    """MASTER.md with one entry more; what was in it stays as it is.

    Args:
        before: the text so far, '' when there is none.
        plan: the plan's name.
        head: the first line of the entry: when, what, and where it is from.
        effects: what was done to tasks.
    """
    text = before or f"# {plan}: planner log\n"
    lines = [f"## {head}"]
    for kind in KINDS:
        rows = [f"{effect.task} ({effect.title})" for effect in effects if effect.kind == kind]
        more = [f"and {len(rows) - _MOST_ROWS} more"] if len(rows) > _MOST_ROWS else []
        if rows:
            lines += ["", f"{_HEADS[kind]}:", "", *(f"- {row}" for row in [*rows[:_MOST_ROWS], *more])]
    if not effects:
        lines += ["", "No task changed; the context or the goal did."]
    return text + ("" if text.endswith("\n") else "\n") + "\n" + "\n".join(lines) + "\n"
