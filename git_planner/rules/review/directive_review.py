"""Render a directive for the people who review it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from git_planner.rules.documents.escape_markdown import code_span, escape_line
from git_planner.rules.planning.directive import Directive
from git_planner.rules.review import sections
from git_planner.rules.review.sections import Overlap, PastAttempt, ResultHistory, Scope, section


@dataclass(frozen=True, slots=True)
class DirectiveReview:
    """All that a reviewer of a directive is shown; texts of others are bounded and masked.

    `number` is None for a packet, which is no iteration yet. `directive` is None as long as there is no
    answer that can be used; `faults` say why. `family` are the last attempts of the directive's strategy
    family, of `family_attempts` in all. `newer_best` is the plan's best if the base does not contain it.
    """

    branch: str
    number: int | None
    plan: str
    goal: str
    phase: str
    base: str
    base_ref: str
    planner: str
    digest: str
    directive: Directive | None
    faults: tuple[str, ...]
    scope: Scope | None
    changed: tuple[str, ...]
    history: ResultHistory
    family: tuple[PastAttempt, ...]
    family_attempts: int
    overlaps: tuple[Overlap, ...]
    newer_best: str | None = None


def directive_title(review: DirectiveReview) -> str:
    """Return the title: at most 72 characters of the objective."""
    text = review.directive.objective if review.directive else f"{review.branch} waits for an answer"
    line = " ".join(text.split())
    return line if len(line) <= 72 else line[:71].rstrip() + "…"


def render_directive(review: DirectiveReview) -> str:
    """Render a directive, or a packet that waits for one."""
    directive = review.directive
    return sections.join_sections(
        f"Directive {escape_line(review.branch, 100)}",
        _origin(review),
        _objective_section(review),
        _change_section(directive) if directive else "",
        sections.scope_section(review.scope, review.changed),
        _effect_section(review),
        _family_section(review),
        _risk_section(directive) if directive else "",
        section("Steps", sections.bullets(directive.step_plan, mark="1.")) if directive else "",
        _check_section(directive) if directive else "",
        sections.overlap_section(review.overlaps),
        sections.cost_section(review.history),
        _approval_section(review),
        _try_section(review),
    )


def _origin(review: DirectiveReview) -> str:
    lines = [
        f"- Plan: {code_span(review.plan)}; goal: {escape_line(review.goal, 300) or 'none'}",
        f"- State: {review.phase}",
        f"- Base: {code_span(review.base_ref)} at `{review.base[:12]}`",
        *([_newer_best_line(review.newer_best)] if review.newer_best else []),
        f"- Planner: {escape_line(review.planner, 100)}",
        *([f"- Digest of the directive: `{review.digest}`"] if review.digest else []),
    ]
    return "\n".join(lines)


def _newer_best_line(best: str) -> str:
    return (
        f"- **The best is `{best[:12]}` by now, which the base does not contain**: the result is measured "
        "and recorded, but cannot become the best"
    )


def _objective_section(review: DirectiveReview) -> str:
    if review.directive is None:
        return section("Objective", "There is no answer that can be used.", sections.bullets(review.faults))
    objective = escape_line(review.directive.objective, sections.MAX_TEXT)
    hypothesis = escape_line(review.directive.primary_hypothesis, sections.MAX_TEXT)
    return section("Objective", f"**{objective}**", f"Hypothesis: {hypothesis}")


def _change_section(directive: Directive) -> str:
    modifiers = ", ".join(escape_line(text, 100) for text in directive.strategy_modifiers)
    strategy = f"Strategy: {escape_line(directive.strategy_family, 100)}" + (
        f" ({modifiers})" if modifiers else ""
    )
    return section("What will change", sections.bullets(directive.change_summary), strategy)


def _effect_section(review: DirectiveReview) -> str:
    history, lines = review.history, []
    directive = review.directive
    if directive is not None:
        name = f" of {escape_line(history.metric, 100)}" if history.metric else ""
        unit = f" {escape_line(history.unit, 40)}" if history.unit else ""
        change = sections.signed(directive.expected_effect)
        lines.append(f"- Expected: {change}{unit}{name} ({history.better} is better)")
        if history.best is not None:
            value = sections.amount(history, history.best + directive.expected_effect)
            lines.append(f"- The best would become {value}")
        lines += _effect_remarks(directive.expected_effect, history)
    return section("Expected effect", "\n".join([*lines, *sections.history_lines(history)]))


def _effect_remarks(expected: int, history: ResultHistory) -> list[str]:
    gain = -expected if history.better == "lower" else expected
    if gain <= 0:
        return ["- **The planner expects no improvement**"]
    if history.largest_gain is not None and gain > history.largest_gain:
        return ["- **This is more than any attempt has gained so far**"]
    return []


def _family_section(review: DirectiveReview) -> str:
    if review.directive is None:
        attempts = sections.attempts_table(review.history.recent, review.history.attempts)
        return section("Earlier attempts", attempts)
    title = f"Earlier attempts of {escape_line(review.directive.strategy_family, 100)}"
    return section(title, sections.attempts_table(review.family, review.family_attempts) or "There are none.")


def _risk_section(directive: Directive) -> str:
    web = "The planner searched the web." if directive.did_web_search else ""
    return section("Risk", f"The planner calls the risk **{escape_line(directive.risk.lower(), 20)}**.", web)


def _check_section(directive: Directive) -> str:
    commands = "\n".join(f"- {code_span(text, 400)}" for text in directive.commands[: sections.MAX_ITEMS])
    criteria = sections.bullets(directive.pass_criteria)
    return section("Checks that the planner names", commands, criteria)


def _approval_section(review: DirectiveReview) -> str:
    if review.directive is None:
        text = "There is nothing to approve before the branch has an answer."
    else:
        text = (
            f"An agent may then change the paths above on a branch from `{review.base[:12]}`, as the steps "
            "say. The result is measured as the base prescribes, and kept only if it is valid; nothing is "
            "merged into the base by this. The text of a directive is advice to an agent: it cannot widen "
            "the scope or change the guard."
        )
    return section("What approving means", text, sections.KEEPS)


def _try_section(review: DirectiveReview) -> str:
    if review.number is None:
        fetch = f"git plan manual apply --from {review.branch}"
        return section("How to try it", _commands(fetch) if review.directive else "Paste an answer first.")
    if review.changed:
        lines = (f"git diff {review.base[:12]}...{review.branch}", f"git record {review.branch}")
    else:
        lines = (f"git plan show {review.number}", f"git iterate resume {review.number}")
    return section("How to try it", _commands(*lines))


def _commands(*lines: str) -> str:
    return "\n".join(("```sh", *lines, "```"))
