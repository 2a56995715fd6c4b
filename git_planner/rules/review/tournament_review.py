"""Render the prompt of a tournament's turn for the people who review it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from git_planner.rules.documents.escape_markdown import code_span, escape_line
from git_planner.rules.planning.prompt import fence
from git_planner.rules.printable import counted
from git_planner.rules.review import sections
from git_planner.rules.review.sections import ResultHistory, Scope, section

_KEEPS = "Where the policy requires an approval, nothing of this runs without one."


@dataclass(frozen=True, slots=True)
class TournamentReview:
    """All that a reviewer of a tournament's prompt is shown; texts of others are bounded and masked.

    `source` says where variants come from: its kind, and the options of that kind. `gates` are those that
    every variant must pass, `metric` names what is measured of the others.
    """

    run: str
    turn: int
    plan: str
    phase: str
    base: str
    digest: str
    prompt: str
    source: Mapping[str, Any]
    attempts: int
    environment: str | None
    follows: int | None
    scope: Scope | None
    gates: tuple[str, ...]
    history: ResultHistory


def tournament_title(review: TournamentReview) -> str:
    """Return the title: the first line of the prompt, at most 72 characters."""
    line = " ".join(f"Tournament {review.run}: {review.prompt.strip().partition(chr(10))[0]}".split())
    return line if len(line) <= 72 else line[:71].rstrip() + "…"


def render_tournament(review: TournamentReview) -> str:
    """Render the prompt of a tournament's turn."""
    return sections.join_sections(
        f"Tournament {escape_line(review.run, 100)}, turn {review.turn}",
        _origin(review),
        section("Prompt", fence(review.prompt.strip(), "text")),
        _variants_section(review),
        sections.scope_section(review.scope),
        _judging_section(review),
        section("Earlier attempts", sections.attempts_table(review.history.recent, review.history.attempts)),
        sections.cost_section(review.history),
        _approval_section(review),
        section("How to try it", f"```sh\ngit bo4 show {review.run}\ngit bo4 run {review.run}\n```"),
    )


def _origin(review: TournamentReview) -> str:
    return "\n".join(
        (
            f"- Plan: {code_span(review.plan)}",
            f"- State: {review.phase}",
            f"- Base: `{review.base[:12]}`",
            f"- Digest: `{review.digest}`",
        )
    )


def _variants_section(review: TournamentReview) -> str:
    options = {name: value for name, value in review.source.items() if name != "kind"}
    lines = [
        f"- {counted(review.attempts, 'variant')} from {code_span(str(review.source['kind']))}",
        *(f"- {code_span(name, 80)}: {code_span(str(value), 400)}" for name, value in options.items()),
        *([f"- Environment: {code_span(review.environment)}"] if review.environment else []),
        *([f"- They go on with variant {review.follows} of the turn before"] if review.follows else []),
    ]
    return section("Variants", "\n".join(lines[: sections.MAX_ITEMS]))


def _judging_section(review: TournamentReview) -> str:
    metric = f"by {escape_line(review.history.metric, 100)}" if review.history.metric else "by a person"
    lines = [sections.spans("Gates", review.gates), f"- What passes is judged {metric}"]
    return section("How variants are judged", "\n".join((*lines, *sections.history_lines(review.history))))


def _approval_section(review: TournamentReview) -> str:
    text = (
        f"{counted(review.attempts, 'agent')} may then change the paths above on branches from "
        f"`{review.base[:12]}`, as the prompt says. The best valid result becomes the branch "
        f"{code_span(f'bo4/{review.run}/winner')}; nothing is merged into the base by this."
    )
    return section("What approving means", text, _KEEPS)
