"""Render the text of a pull request from a directive and records. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from git_planner.rules.documents.escape_markdown import escape_line
from git_planner.rules.planning.directive import IterationState
from git_planner.rules.records.record import MeasuredMetric, Record
from git_planner.rules.records.row import REASONS
from git_planner.rules.refnames import number_text

_MAX_ATTEMPTS = 30


def render_body(state: IterationState, record: Record, ledger: Sequence[Record]) -> str:
    """Render the description of a pull request as Markdown.

    Args:
        state: the proposed iteration.
        record: the valid record of the iteration.
        ledger: all records of the plan, oldest first.
    """
    return (
        "\n\n".join(
            part
            for part in (
                _directive_section(state),
                _metric_section(record, ledger),
                _test_section(record),
                _attempt_section(record, ledger),
                _provenance_section(state, record),
            )
            if part
        )
        + "\n"
    )


def _directive_section(state: IterationState) -> str:
    directive = state.directive
    changes = "\n".join(f"- {escape_line(line)}" for line in directive.change_summary)
    objective, hypothesis = map(escape_line, (directive.objective, directive.primary_hypothesis))
    return (
        f"## Directive\n\n**{objective}**\n\n{hypothesis}\n\n"
        f"Risk: {directive.risk}. Strategy: {', '.join(map(escape_line, directive.strategy))}.\n\n{changes}"
    )


def _metric_section(record: Record, ledger: Sequence[Record]) -> str:
    first = _baseline(record, ledger)
    rows = ["| metric | before | after | change |", "| --- | ---: | ---: | ---: |"]
    for metric in record.metrics:
        before = next((old for old in (first.metrics if first else ()) if old.name == metric.name), None)
        rows.append(_metric_row(metric, before))
    return "## Result\n\n" + "\n".join(rows) + f"\n\nVerdict: {record.verdict}. {escape_line(record.summary)}"


def _metric_row(after: MeasuredMetric, before: MeasuredMetric | None) -> str:
    unit = f" {escape_line(after.unit)}" if after.unit else ""
    spread = f" ± {number_text(after.spread)}" if after.spread else ""
    value = f"{number_text(after.median)}{spread}{unit}"
    if before is None:
        return f"| {escape_line(after.name)} | | {value} | |"
    difference = after.median - before.median
    share = f" ({difference / before.median:+.1%})" if before.median else ""
    sign = "+" if difference > 0 else ""
    name = f"{escape_line(after.name)} ({after.better} is better)"
    return (
        f"| {name} | {number_text(before.median)}{unit} | {value} | {sign}{number_text(difference)}{share} |"
    )


def _baseline(record: Record, ledger: Sequence[Record]) -> Record | None:
    same = [old for old in ledger if old.valid and old.instrument == record.instrument]
    return next((old for old in same if old.kind == "baseline"), same[0] if same else None)


def _test_section(record: Record) -> str:
    if record.tests is None:
        return ""
    tests = record.tests
    return (
        f"## Tests\n\n{tests.passed} of {tests.collected} passed, {tests.failed} failed, "
        f"{tests.skipped} skipped; run from the trusted base's own tests."
    )


def _attempt_section(record: Record, ledger: Sequence[Record]) -> str:
    others = [other for other in ledger if other.kind == "attempt" and other.id != record.id]
    if not others:
        return ""
    shown = others[-_MAX_ATTEMPTS:]
    lines = [f"- {_attempt_line(other)}" for other in shown]
    rest = [f"- and {len(others) - len(shown)} before these"] if len(others) > len(shown) else []
    return "## Other attempts\n\n" + "\n".join(lines + rest)


def _attempt_line(record: Record) -> str:
    why = f", {REASONS.get(record.reason, record.reason)}" if record.reason else ""
    value = f", {number_text(record.value)}" if record.value is not None else ""
    name, hypothesis = record.branch or record.commit[:12], escape_line(record.hypothesis)
    return f"`{name}`: {record.verdict}{why}{value}. {hypothesis}"


def _provenance_section(state: IterationState, record: Record) -> str:
    rows = [
        f"- Instrument: `{record.instrument}`",
        f"- Record: `{record.id}` on `plan/{record.plan}`",
        f"- Directive: `{state.directive_digest}`",
        f"- Reproduce: `git record verify {record.commit}`",
    ]
    return "## Where this comes from\n\n" + "\n".join(rows)
