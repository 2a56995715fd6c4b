"""Prompts of planners and implementers: fixed texts from the templates, facts from the documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from git_planner.agents.contract import AnswerKind
from git_planner.agents.templates import read_template
from git_planner.rules.planning import prompt as rules
from git_planner.rules.planning.directive import Directive

_TEMPLATES: Mapping[AnswerKind, str] = {
    "directive": "planner-directive",
    "plan-options": "planner-options",
    "planning-plan": "planner-plan",
}


def planner_prompt(
    packet: Mapping[str, Any], kind: AnswerKind, schema: Mapping[str, Any], budget: int
) -> str:
    """Return the prompt that asks a planner for an answer to a packet.

    Args:
        packet: a validated packet.
        kind: the kind of answer.
        schema: the JSON Schema of the answer.
        budget: maximum length of the prompt, in characters.
    """
    return rules.render_prompt(read_template(_TEMPLATES[kind]), packet, schema, budget)


def retry_prompt(first: str, answer: str, faults: Sequence[str]) -> str:
    """Return the prompt for another attempt after an answer was refused for its faults."""
    return rules.render_retry(read_template("retry"), first, answer, faults)


def again_prompt(first: str, answer: str, faults: Sequence[str]) -> str:
    """Return the prompt for another attempt after a text was refused for its faults."""
    return rules.render_retry(read_template("again"), first, answer, faults)


def apply_prompt(
    directive: Directive, *, allow: Sequence[str] = (), forbid: Sequence[str] = (), guard: Sequence[str] = ()
) -> str:
    """Return the prompt that asks an implementer to carry out a directive.

    Args:
        directive: the directive to carry out.
        allow: patterns of paths that may change; empty means all.
        forbid: patterns of paths that may not change.
        guard: patterns of guarded paths.
    """
    limits = (
        ("Only these may change", allow),
        ("These must not change", forbid),
        ("These are guarded; any change of them makes the result invalid", guard),
    )
    lines = [f"- {title}: {', '.join(paths)}" for title, paths in limits if paths]
    steps = [f"{number}. {step}" for number, step in enumerate(directive.step_plan, 1)]
    summary = "\n".join(
        [f"Objective: {directive.objective}", f"Hypothesis: {directive.primary_hypothesis}", *steps]
    )
    parts = [
        read_template("apply").rstrip(),
        *(["## Paths", "\n".join(lines)] if lines else []),
        "## Directive",
        summary,
    ]
    return "\n\n".join(parts) + "\n"
