"""Render a plan, with its options, critique and tasks, for the people who review it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner.rules.documents.escape_markdown import code_span, escape_line
from git_planner.rules.printable import counted
from git_planner.rules.review import sections
from git_planner.rules.review.sections import Overlap, ResultHistory, Scope, section

MAX_TASKS = 40
_MAX_QUOTED_LINES, _MAX_STEPS = 80, 12


@dataclass(frozen=True, slots=True)
class QuotedText:
    """A text of a critic or researcher: its name and its lines, which may have been cut."""

    name: str
    lines: tuple[str, ...]
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class PlanReview:
    """All that a reviewer of a plan is shown; texts of others are bounded and masked.

    `options` is the parsed document of the options, if there is one; `option_fault` says why it cannot be
    read. `chosen` is the letter of the chosen option. `tasks` are the documents of the first open tasks,
    `counts` the numbers of all by status. `remark` says what was not compared for overlaps.
    """

    plan: str
    goal: str
    base: str
    base_ref: str
    constraints: tuple[str, ...]
    acceptance: tuple[str, ...]
    options: Mapping[str, Any] | None
    option_fault: str
    chosen: str
    reviews: tuple[QuotedText, ...]
    tasks: tuple[Mapping[str, Any], ...]
    counts: Mapping[str, int]
    scope: Scope | None
    history: ResultHistory
    overlaps: tuple[Overlap, ...]
    remark: str


def plan_title(review: PlanReview) -> str:
    """Return the title: the plan's name and goal, at most 72 characters."""
    line = " ".join(f"Plan {review.plan}: {review.goal}".split()).rstrip(":")
    return line if len(line) <= 72 else line[:71].rstrip() + "…"


def render_plan(review: PlanReview) -> str:
    """Render a plan."""
    table = sections.attempts_table(review.history.recent, review.history.attempts)
    return sections.join_sections(
        f"Plan {escape_line(review.plan, 100)}",
        f"- Base: {code_span(review.base_ref)} at `{escape_line(review.base[:12])}`",
        section("Objective", f"**{escape_line(review.goal, sections.MAX_TEXT) or 'no goal'}**"),
        section("Acceptance", sections.bullets(review.acceptance)),
        section("Constraints", sections.bullets(review.constraints)),
        _options_section(review),
        *(_quoted_section(quoted) for quoted in review.reviews),
        _tasks_section(review),
        sections.scope_section(review.scope),
        section("Results so far", "\n".join(sections.history_lines(review.history)), table),
        _risk_section(review.tasks),
        sections.overlap_section(review.overlaps, review.remark),
        sections.cost_section(review.history),
        _approval_section(review),
        _try_section(review),
    )


def _options_section(review: PlanReview) -> str:
    if review.options is None:
        fault = f"They cannot be read: {escape_line(review.option_fault, 300)}" if review.option_fault else ""
        return section("Options", fault)
    return section("Options", *(_option_text(option, review.chosen) for option in review.options["options"]))


def _option_text(option: Mapping[str, Any], chosen: str) -> str:
    letter = escape_line(str(option.get("name", "")), 4)
    mark = " (chosen)" if chosen and letter == chosen else ""
    steps = option.get("steps", ())
    lines = [
        f"### Option {letter}: {escape_line(option.get('title', ''), 200)}{mark}",
        "",
        f"Summary: {escape_line(option.get('summary', ''), sections.MAX_TEXT)}",
        "",
        *(f"{place}. {_title(step)}" for place, step in enumerate(steps[:_MAX_STEPS], 1)),
        *([f"- and {counted(len(steps) - _MAX_STEPS, 'step')} more"] if len(steps) > _MAX_STEPS else []),
    ]
    risks = sections.bullets((f"Risk: {risk}" for risk in option.get("risks", ())), 10)
    effort = f"Effort: {escape_line(option.get('effort', ''), 300)}" if option.get("effort") else ""
    return "\n\n".join(part for part in ("\n".join(lines), risks, effort) if part)


def _title(step: Mapping[str, Any]) -> str:
    return escape_line(step.get("title", ""), 200) or "(no title)"


def _quoted_section(quoted: QuotedText) -> str:
    lines = [
        f"> {escape_line(line.lstrip('#'), 1_000)}".rstrip() for line in quoted.lines[:_MAX_QUOTED_LINES]
    ]
    more = ["> …"] if len(quoted.lines) > _MAX_QUOTED_LINES else []
    stale = "**The options have changed since this review.**" if quoted.is_stale else ""
    return section(f"Critique by {escape_line(quoted.name, 60)}", stale, "\n".join([*lines, *more]))


def _tasks_section(review: PlanReview) -> str:
    if not review.counts:
        return section("Tasks", "There are none yet.")
    counts = ", ".join(f"{count} {status}" for status, count in review.counts.items())
    shown = "\n".join(_task_line(task) for task in review.tasks[:MAX_TASKS])
    open_tasks = sum(count for status, count in review.counts.items() if status not in ("done", "cancelled"))
    rest = open_tasks - len(review.tasks[:MAX_TASKS])
    more = f"and {counted(rest, 'open task')} more" if rest > 0 else ""
    return section("Tasks", f"{counts}.", shown, more)


def _task_line(task: Mapping[str, Any]) -> str:
    after = f", after {', '.join(task['dependencies'][:5])}" if task["dependencies"] else ""
    writes = ", ".join(code_span(pattern, 100) for pattern in task["write_scope"][:5])
    proof = "" if task["verify"] else "; **no command verifies it**"
    text = f"- **{task['id']}** ({task['status']}{after}): {escape_line(task['title'], 200)}"
    return f"{text}; may write {writes or 'nothing of its own'}{proof}"


def _risk_section(tasks: Sequence[Mapping[str, Any]]) -> str:
    risks = [f"{task['id']}: {risk}" for task in tasks for risk in task["risks"]]
    return section("Risks", sections.bullets(risks) or "The open tasks name none.")


def _approval_section(review: PlanReview) -> str:
    if review.options is not None and not review.chosen:
        text = (
            "No option is chosen yet. Who approves says which one: its steps then become tasks of the plan."
        )
    else:
        text = "Agents may then be given the open tasks above, each within the paths that it may write."
    return section(
        "What approving means",
        f"{text} Every change is still checked against scope, guard and tests before it is kept.",
        "Where the policy requires an approval, nothing of this runs without one.",
    )


def _try_section(review: PlanReview) -> str:
    lines = [f"git plan lint --plan {review.plan}"]
    if review.options is not None and not review.chosen:
        lines.append(f"git plan choose A --plan {review.plan}")
    elif review.tasks:
        lines.append(f"git plan task show {review.tasks[0]['id']} --plan {review.plan}")
        lines.append(f"git plan delegate --dry-run --plan {review.plan}")
    return section("How to try it", "\n".join(("```sh", *lines, "```")))
