"""Sections that several reviews share: lists, scope, history, overlaps and cost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from git_planner.rules.documents.escape_markdown import bound_body, code_span, escape_line
from git_planner.rules.printable import counted
from git_planner.rules.records.row import REASONS
from git_planner.rules.refnames import number_text

MAX_TEXT, MAX_ITEMS = 2_000, 30
# Attempts and steps of the best that a review shows.
MAX_ATTEMPTS = 8
KEEPS = "Where the policy requires an approval, nothing of this runs without one."


@dataclass(frozen=True, slots=True)
class Scope:
    """The patterns of a base's policy that say which paths may change."""

    base: str
    allow: tuple[str, ...]
    forbid: tuple[str, ...]
    guard: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An earlier attempt and how it ended."""

    name: str
    verdict: str
    reason: str | None
    value: float | None
    delta: float | None
    hypothesis: str


@dataclass(frozen=True, slots=True)
class ResultHistory:
    """The results of a plan. `bests` are the values that were the best in turn, at most the last ones.

    `best_name` names the attempt of the best, `largest_gain` is the most that one attempt gained,
    `since_best` counts the valid attempts since the best.
    """

    metric: str
    unit: str
    better: Literal["lower", "higher"]
    best: float | None
    best_name: str
    bests: tuple[float, ...]
    largest_gain: float | None
    since_best: int | None
    attempts: int
    tokens: int
    seconds: float
    recent: tuple[PastAttempt, ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Other open work that may change the same paths: its name, its pattern and the reviewed one."""

    name: str
    own: str
    other: str


def join_sections(title: str, *sections: str) -> str:
    """Join the sections of a review below its title, and bound the result."""
    body = "\n\n".join(part for part in (f"# {title}", *sections) if part) + "\n"
    return bound_body(body, "cut: '--json' has the rest")


def section(title: str, *parts: str) -> str:
    """Return a section; an empty one if none of its parts has a text."""
    texts = [part for part in parts if part]
    return "\n\n".join((f"## {title}", *texts)) if texts else ""


def bullets(lines: Iterable[str], most: int = MAX_ITEMS, *, mark: str = "-") -> str:
    """Return texts of others as a list; with the mark '1.' it is numbered."""
    texts = [escape_line(line, MAX_TEXT) for line in lines]
    shown = [
        f"{f'{place}.' if mark == '1.' else mark} {text or '(empty)'}"
        for place, text in enumerate(texts[:most], 1)
    ]
    return "\n".join([*shown, *_rest(texts, most)])


def spans(label: str, texts: Sequence[str], most: int = MAX_ITEMS) -> str:
    """Return one item of a list with patterns, paths or commands."""
    shown = ", ".join(code_span(text) for text in texts[:most])
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return f"- {label}: {shown or 'none'}{more}"


def scope_section(scope: Scope | None, changed: Sequence[str] = ()) -> str:
    """Return what may change, what may not, and what has changed already."""
    if scope is None:
        return section("What may change", "The base commit is not in this clone, so its scope is not known.")
    lines = [
        spans("May change", scope.allow or ("**",)),
        *([spans("May not change", scope.forbid)] if scope.forbid else []),
        spans("Guarded: a change is refused, and the base's own files are used", scope.guard),
        *([spans("Changed so far", changed)] if changed else []),
    ]
    return section("What may change, and what may not", "\n".join(lines))


def history_lines(history: ResultHistory) -> list[str]:
    """Return the best and its way there, as items of a list."""
    if history.best is None:
        return [f"- There is no best yet, after {counted(history.attempts, 'attempt')}"]
    since = f", {counted(history.since_best, 'valid attempt')} since" if history.since_best else ""
    name = escape_line(history.best_name, 100)
    lines = [f"- Best so far: {amount(history, history.best)} ({name}{since})"]
    if len(history.bests) > 1:
        lines.append(f"- How it got there: {' → '.join(_number(value) for value in history.bests)}")
    if history.largest_gain is not None:
        lines.append(f"- Most that one attempt gained: {amount(history, history.largest_gain)}")
    return lines


def attempts_table(attempts: Sequence[PastAttempt], total: int) -> str:
    """Return earlier attempts as a table, the newest last."""
    if not attempts:
        return ""
    rows = ["| attempt | ended | value | change | idea |", "| --- | --- | ---: | ---: | --- |"]
    for attempt in attempts:
        why = f": {REASONS.get(attempt.reason, attempt.reason)}" if attempt.reason else ""
        cells = (
            escape_line(attempt.name, 80),
            escape_line(f"{attempt.verdict}{why}", 120),
            "" if attempt.value is None else _number(attempt.value),
            "" if attempt.delta is None else signed(attempt.delta),
            escape_line(attempt.hypothesis, 200),
        )
        rows.append(f"| {' | '.join(cells)} |")
    rest = f"\n\nand {total - len(attempts)} before these" if total > len(attempts) else ""
    return "\n".join(rows) + rest


def overlap_section(overlaps: Sequence[Overlap], remark: str = "") -> str:
    """Return the open work that may change the same paths."""
    lines = [
        f"- {escape_line(overlap.name, 120)}: {code_span(overlap.other)} and {code_span(overlap.own)}"
        for overlap in overlaps[:MAX_ITEMS]
    ]
    text = "\n".join([*lines, *_rest(overlaps, MAX_ITEMS)]) or "No other open work may change these paths."
    return section("Overlap with open work", text, remark)


def cost_section(history: ResultHistory) -> str:
    """Return what the attempts of a plan have cost so far."""
    hours = history.seconds / 3600
    spent = f"{hours:,.1f} hours" if hours >= 1 else f"{history.seconds:,.0f} seconds"
    text = (
        f"{counted(history.attempts, 'attempt')}, {history.tokens:,} tokens, {spent} of agents and measuring."
    )
    return section("Cost so far", text)


def amount(history: ResultHistory, value: float) -> str:
    """Return a value with the unit of the deciding metric."""
    return f"{_number(value)} {escape_line(history.unit, 40)}".rstrip()


def signed(value: float) -> str:
    """Return a difference with its sign."""
    return f"{'+' if value > 0 else ''}{_number(value)}"


def _number(value: float) -> str:
    return number_text(float(f"{value:.6g}")) if abs(value) >= 1e15 or value % 1 else number_text(value)


def _rest(items: Sequence[object], most: int) -> list[str]:
    return [f"- and {len(items) - most} more"] if len(items) > most else []
