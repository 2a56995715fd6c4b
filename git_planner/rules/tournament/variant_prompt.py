"""Prompt of a local variant, and the directive that its agent's brief carries. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from git_planner.rules.planning.directive import Directive
from git_planner.rules.policy.policy import Policy

_MAX_LINE = 180
FAMILY = "family:tournament"


def render_variant_prompt(fixed: str, prompt: str, extra: str, policy: Policy) -> str:
    """Render the prompt of a variant.

    Args:
        fixed: the rules at the start of every prompt.
        prompt: the prompt of the turn.
        extra: the text for this variant alone; empty for none.
        policy: the policy of the base, whose limits are named.
    """
    limits = "\n".join(f"- {title}: {', '.join(paths)}" for title, paths in _limits(policy) if paths)
    parts = [fixed.rstrip(), "## Limits\n\n" + limits, "## Task\n\n" + prompt.strip(), extra.strip()]
    return "\n\n".join(part for part in parts if part) + "\n"


def variant_directive(prompt: str) -> Directive:
    """Return the directive of a variant: its objective is the first line of the prompt."""
    line = " ".join(prompt.strip().partition("\n")[0].split())
    objective = line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 1] + "…"
    return Directive(
        objective=objective or "carry out the prompt",
        primary_hypothesis="The prompt asks for it",
        strategy_family=FAMILY,
        strategy_modifiers=(),
        risk="Medium",
        expected_effect=0,
        change_summary=(objective or "carry out the prompt",),
        step_plan=("read the prompt", "make the change", "look at what has changed"),
        commands=("git diff --stat",),
        pass_criteria=("the change does what the prompt asks",),
        next_packet_requests=(),
        did_web_search=False,
    )


def agent_row(source: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    """Return agent, model and effort of a variant; the rows of the source are used in turn."""
    rows = source.get("agents") or [{}]
    row: Mapping[str, Any] = rows[(number - 1) % len(rows)]
    return row


def _limits(policy: Policy) -> Sequence[tuple[str, Sequence[str]]]:
    return (
        ("Only these may change", policy.allow),
        ("These must not change", policy.forbid),
        ("These are guarded; any change of them makes the result invalid", policy.guarded),
    )
