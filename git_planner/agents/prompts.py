"""The prompts of planners and implementers: fixed texts from the templates, facts from the documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from git_planner.agents.contract import AnswerKind
from git_planner.resources import resource_folder
from git_planner.rules.planning import prompt as rules
from git_planner.rules.planning.directive import Directive

_TEMPLATES: Mapping[AnswerKind, str] = {
    "directive": "planner-directive",
    "plan-options": "planner-options",
    "planning-plan": "planner-plan",
}


def prompt(packet: Mapping[str, Any], kind: AnswerKind, schema: Mapping[str, Any], budget: int) -> str:
    """The prompt that asks a planner for an answer to a packet.

    Args:
        packet: a checked packet.
        kind: what to ask for.
        schema: the JSON Schema of the answer.
        budget: the largest prompt, in characters.
    """
    return rules.render_prompt(text(_TEMPLATES[kind]), packet, schema, budget)


def retry_prompt(first: str, answer: str, faults: Sequence[str]) -> str:
    """The prompt after an answer that was refused for its faults."""
    return rules.render_retry(text("retry"), first, answer, faults)


def again_prompt(first: str, answer: str, faults: Sequence[str]) -> str:
    """The prompt after a text that was refused for its faults."""
    return rules.render_retry(text("again"), first, answer, faults)


def apply_prompt(
    directive: Directive, *, allow: Sequence[str] = (), forbid: Sequence[str] = (), guard: Sequence[str] = ()
) -> str:
    """The prompt that has an implementer carry out a directive.

    Args:
        directive: what to do.
        allow: patterns of the only paths that may change; none means all.
        forbid: patterns of paths that may not change.
        guard: patterns of guarded paths.
    """
    limits = (
        ("Only these may change", allow),
        ("These must not change", forbid),
        ("These are guarded; any change of them makes the result invalid", guard),
    )
    lines = [f"- {title}: {', '.join(paths)}" for title, paths in limits if paths]
    steps = [f"{place}. {step}" for place, step in enumerate(directive.step_plan, 1)]
    short = "\n".join(
        [f"Objective: {directive.objective}", f"Hypothesis: {directive.primary_hypothesis}", *steps]
    )
    parts = [
        text("apply").rstrip(),
        *(["## Paths", "\n".join(lines)] if lines else []),
        "## Directive",
        short,
    ]
    return "\n\n".join(parts) + "\n"


def text(name: str) -> str:
    """The fixed text of a name, such as 'apply'."""
    return (resource_folder("templates") / "prompts" / f"{name}.md").read_text(encoding="utf-8")
