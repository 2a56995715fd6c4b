"""Render the change of a spec for the people who review it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from git_planner.rules.documents.escape_markdown import code_span, escape_line
from git_planner.rules.review import sections
from git_planner.rules.review.sections import Overlap, Scope, section
from git_planner.rules.specs.change import SpecChange
from git_planner.rules.specs.items import SpecItem

_MAX_TASKS = 60


@dataclass(frozen=True, slots=True)
class SpecReview:
    """All that a reviewer of a spec's change is shown. `source` says where its files were read."""

    change: SpecChange
    source: str
    scope: Scope | None
    overlaps: tuple[Overlap, ...]


def spec_title(review: SpecReview) -> str:
    """Return the title: the change's name and goal, at most 72 characters."""
    line = " ".join(f"Spec {review.change.slug}: {review.change.goal}".split()).rstrip(":")
    return line if len(line) <= 72 else line[:71].rstrip() + "…"


def render_spec(review: SpecReview) -> str:
    """Render the change of a spec."""
    change = review.change
    risks = [f"{item.title}: {risk}" for item in change.items for risk in item.risks]
    return sections.join_sections(
        f"Spec {escape_line(change.slug, 100)}",
        f"- Read from: {escape_line(review.source, 200)}",
        section("Objective", f"**{escape_line(change.goal, sections.MAX_TEXT) or 'no goal'}**"),
        section("Faults", sections.bullets(map(str, change.faults))),
        section("Acceptance", sections.bullets(change.acceptance)),
        section("What must stay true", sections.bullets(change.invariants)),
        _steps_section(change),
        sections.scope_section(review.scope),
        section("Risks", sections.bullets(risks) or "The tasks name none."),
        sections.overlap_section(review.overlaps),
        _approval_section(change),
        section(
            "How to try it",
            f"```sh\ngit plan spec validate {change.slug}\ngit plan spec compile {change.slug}\n```",
        ),
    )


def _steps_section(change: SpecChange) -> str:
    rest = len(change.items) - _MAX_TASKS
    return section(
        "Steps",
        "\n".join(f"{place}. {_item_text(item)}" for place, item in enumerate(change.items[:_MAX_TASKS], 1)),
        f"and {rest} more" if rest > 0 else "",
    )


def _item_text(item: SpecItem) -> str:
    writes = ", ".join(code_span(pattern, 100) for pattern in item.write_scope[:5])
    proof = "" if item.verify else "; **no command verifies it**"
    return f"{escape_line(item.title, 300)}; may write {writes or 'nothing of its own'}{proof}"


def _approval_section(change: SpecChange) -> str:
    if change.faults:
        text = "It has faults, and cannot be compiled into tasks before they are cured."
    else:
        text = "It may then be compiled into tasks of a plan, which agents are given one by one."
    return section(
        "What approving means",
        text,
        "Where the policy requires an approval, nothing of this runs without one.",
    )
