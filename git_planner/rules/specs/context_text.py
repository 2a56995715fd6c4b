"""Render CONTEXT.md and MASTER.md, which accompany a compiled plan. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from git_planner.rules.specs.change import ARCHIVE, PROJECT, SpecChange, change_folder
from git_planner.rules.specs.compile import KINDS, CompileEffect

CONTEXT, MASTER = "CONTEXT.md", "MASTER.md"
_MAX_COMMANDS, _MAX_ROWS = 50, 20
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
    """Render the context for work on a plan: sources, invariants, entry points and verify commands.

    Args:
        plan: the plan's document with the tasks of the change in it.
        change: the compiled change.
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
        "Verification commands": list(_commands(plan["tasks"])) or ["none; tasks need a manual sign-off"],
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
    commands = dict.fromkeys(shlex.join(run) for task in tasks for run in task["verify"])
    for place, command in enumerate(commands):
        if place == _MAX_COMMANDS:
            yield f"and {len(commands) - place} more; see the tasks"
            return
        # A command with a backquote needs a longer delimiter.
        yield f"`` {command} ``" if "`" in command else f"`{command}`"


def append_log(before: str, plan: str, head: str, effects: Sequence[CompileEffect]) -> str:
    """Append an entry to MASTER.md.

    Args:
        before: the present text, '' if there is none.
        plan: the plan's name.
        head: the first line of the entry: time, action and source.
        effects: the effects on tasks.
    """
    text = before or f"# {plan}: planner log\n"
    lines = [f"## {head}"]
    for kind in KINDS:
        rows = [f"{effect.task} ({effect.title})" for effect in effects if effect.kind == kind]
        more = [f"and {len(rows) - _MAX_ROWS} more"] if len(rows) > _MAX_ROWS else []
        if rows:
            lines += ["", f"{_HEADS[kind]}:", "", *(f"- {row}" for row in [*rows[:_MAX_ROWS], *more])]
    if not effects:
        lines += ["", "No task changed; the context or the goal did."]
    return text + ("" if text.endswith("\n") else "\n") + "\n" + "\n".join(lines) + "\n"
