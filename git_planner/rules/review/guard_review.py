"""Render a proposed change of guarded files for the people who review it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from git_planner.rules.documents.escape_markdown import code_span, escape_line
from git_planner.rules.planning.prompt import fence
from git_planner.rules.printable import printable
from git_planner.rules.review import sections
from git_planner.rules.review.sections import section


@dataclass(frozen=True, slots=True)
class GuardReview:
    """All that a reviewer of a guard proposal is shown.

    `guarded` are sentences on guarded paths that change, `other` the changed paths that no guard protects.
    `diff` is empty if it is too large to be shown. `remarks` are rows of a packet.
    """

    branch: str
    commit: str
    base: str
    base_ref: str
    message: str
    author: str
    guarded: tuple[str, ...]
    other: tuple[str, ...]
    diff: str
    is_policy_changed: bool
    remarks: tuple[Mapping[str, str], ...] = ()


def guard_title(review: GuardReview) -> str:
    """Return the title: the first line of the commit's message, at most 72 characters."""
    line = next((line.strip() for line in review.message.splitlines() if line.strip()), review.branch)
    return line if len(line) <= 72 else line[:71].rstrip() + "…"


def render_guard(review: GuardReview) -> str:
    """Render a guard proposal."""
    return sections.join_sections(
        f"Guard proposal {escape_line(review.branch, 100)}",
        "\n".join(
            (
                f"- Base: {code_span(review.base_ref)} at `{review.base[:12]}`",
                f"- Commit: `{review.commit[:12]}` by {escape_line(review.author, 100)}",
            )
        ),
        section("Objective", sections.bullets(review.message.splitlines() or [review.branch], mark=">")),
        section("Guarded files that change", sections.bullets(review.guarded) or "None."),
        section("Other files that change", "\n".join(f"- {code_span(path)}" for path in review.other[:50])),
        section("The change", _diff_text(review)),
        section("Risk", _risk_text(review)),
        section("Words of reviewers", *(_remark_text(remark) for remark in review.remarks)),
        section(
            "What approving means",
            f"Merging this branch into {code_span(review.base_ref)} changes what every later result is "
            "measured with, or what no agent may touch. Nothing trusts it before it is merged. Records of "
            "another instrument are not compared with older ones.",
        ),
        section(
            "How to try it",
            f"```sh\ngit diff {review.base[:12]}...{review.branch}\ngit switch --detach {review.branch}\n```",
        ),
    )


def _remark_text(remark: Mapping[str, str]) -> str:
    lines = (f"> {escape_line(line, 500)}".rstrip() for line in remark["text"].splitlines())
    return "\n".join((f"{escape_line(remark['who'], 400)}:", "", *lines))


def _diff_text(review: GuardReview) -> str:
    return fence(printable(review.diff), "diff") if review.diff else "It is too large to be shown here."


def _risk_text(review: GuardReview) -> str:
    if review.is_policy_changed:
        return "**It changes the policy**: scope, guard, metrics and agents follow the new text once merged."
    return "It changes tests or what measures: a weaker test lets a wrong change pass."
