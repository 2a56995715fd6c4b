"""The text of a pull request, made from a directive and records. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from git_planner.rules.planning.directive import IterationState
from git_planner.rules.records.record import REASONS, MeasuredMetric, Record
from git_planner.rules.refnames import number_text

_MOST = 30


def render_body(state: IterationState, record: Record, ledger: Sequence[Record]) -> str:
    """What a reviewer should know, as Markdown.

    Args:
        state: the iteration that is proposed.
        record: its valid record.
        ledger: all records of its plan, oldest first.
    """
    return (
        "\n\n".join(
            part
            for part in (
                _directive(state),
                _metric(record, ledger),
                _tests(record),
                _attempts(record, ledger),
                _provenance(state, record),
            )
            if part
        )
        + "\n"
    )


def _directive(state: IterationState) -> str:
    directive = state.directive
    changes = "\n".join(f"- {escape_line(line)}" for line in directive.change_summary)
    objective, hypothesis = map(escape_line, (directive.objective, directive.primary_hypothesis))
    return (
        f"## Directive\n\n**{objective}**\n\n{hypothesis}\n\n"
        f"Risk: {directive.risk}. Strategy: {', '.join(map(escape_line, directive.strategy))}.\n\n{changes}"
    )


def _metric(record: Record, ledger: Sequence[Record]) -> str:
    first = _baseline(record, ledger)
    rows = ["| metric | before | after | change |", "| --- | ---: | ---: | ---: |"]
    for metric in record.metrics:
        before = next((old for old in (first.metrics if first else ()) if old.name == metric.name), None)
        rows.append(_row(metric, before))
    return "## Result\n\n" + "\n".join(rows) + f"\n\nVerdict: {record.verdict}. {escape_line(record.summary)}"


def _row(now: MeasuredMetric, before: MeasuredMetric | None) -> str:
    unit = f" {escape_line(now.unit)}" if now.unit else ""
    spread = f" ± {number_text(now.spread)}" if now.spread else ""
    after = f"{number_text(now.median)}{spread}{unit}"
    if before is None:
        return f"| {escape_line(now.name)} | | {after} | |"
    difference = now.median - before.median
    share = f" ({difference / before.median:+.1%})" if before.median else ""
    sign = "+" if difference > 0 else ""
    name = f"{escape_line(now.name)} ({now.better} is better)"
    return (
        f"| {name} | {number_text(before.median)}{unit} | {after} | {sign}{number_text(difference)}{share} |"
    )


def _baseline(record: Record, ledger: Sequence[Record]) -> Record | None:
    same = [old for old in ledger if old.valid and old.instrument == record.instrument]
    return next((old for old in same if old.kind == "baseline"), same[0] if same else None)


def _tests(record: Record) -> str:
    if record.tests is None:
        return ""
    tests = record.tests
    return (
        f"## Tests\n\n{tests.passed} of {tests.collected} passed, {tests.failed} failed, "
        f"{tests.skipped} skipped; run from the trusted base's own tests."
    )


def _attempts(record: Record, ledger: Sequence[Record]) -> str:
    others = [other for other in ledger if other.kind == "attempt" and other.id != record.id]
    if not others:
        return ""
    shown = others[-_MOST:]
    lines = [f"- {_attempt(other)}" for other in shown]
    rest = [f"- and {len(others) - len(shown)} before these"] if len(others) > len(shown) else []
    return "## Other attempts\n\n" + "\n".join(lines + rest)


def _attempt(record: Record) -> str:
    why = f", {REASONS.get(record.reason, record.reason)}" if record.reason else ""
    value = f", {number_text(record.value)}" if record.value is not None else ""
    name, hypothesis = record.branch or record.commit[:12], escape_line(record.hypothesis)
    return f"`{name}`: {record.verdict}{why}{value}. {hypothesis}"


def _provenance(state: IterationState, record: Record) -> str:
    rows = [
        f"- Instrument: `{record.instrument}`",
        f"- Record: `{record.id}` on `plan/{record.plan}`",
        f"- Directive: `{state.directive_digest}`",
        f"- Reproduce: `git record verify {record.commit}`",
    ]
    return "## Where this comes from\n\n" + "\n".join(rows)


def escape_line(text: str) -> str:
    """A text on one line, in which Markdown finds no links, pictures, tags or mentions."""
    return re.sub(r"([\\`*_\[\]<>|@#!])", r"\\\1", " ".join(text.split()))
