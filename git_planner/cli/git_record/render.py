"""Text output of records: lines and columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from git_planner.rules import refnames
from git_planner.rules.records.row import REASONS, instrument_changes
from git_planner.rules.refnames import HEADS, number_text

if TYPE_CHECKING:
    from git_planner.flows.records.query import RecordComparison
    from git_planner.flows.records.recorder import RecordResult
    from git_planner.rules.records.record import Record
    from git_planner.rules.records.recorded_comparison import RecordedComparison
    from git_planner.rules.records.row import RecordRow

_HEADINGS = ("record", "commit", "branch", "verdict", "value", "delta", "why")


def recorded(done: RecordResult) -> Iterator[str]:
    """Yield the final lines of `git record`."""
    record = done.record
    yield f"{record.verdict}: {record.summary}"
    yield f"  record  {record.id} on {done.ledger.removeprefix(HEADS)}"
    yield f"  commit  {record.commit[:12]}{f' ({record.branch})' if record.branch else ''}"
    if done.cached:
        yield f"  cached  {_cache_note(record)}"
    if done.advanced:
        yield "  best    the rolling best is this commit now"
    if done.tag:
        yield f"  tag     {refnames.short_name(done.tag)}"
    if record.threshold_met and record.threshold is not None:
        yield f"  goal    {number_text(record.threshold)} is reached"
    for violation in record.violations:
        yield f"  broken  {violation}"
    for note in record.notes:
        yield f"  note    {_first_line(note)}"
    if done.logs and not record.valid:
        yield f"  output  {done.logs}"
    for line in done.excerpt:
        yield f"  | {line}"


def recorded_document(done: RecordResult) -> dict[str, Any]:
    """Return the result of `git record` as a JSON document."""
    return {
        "schema": "git-planner/recorded@1",
        "record": done.record.document(),
        "cached": done.cached,
        "cached_note": _cache_note(done.record) if done.cached else None,
        "advanced": done.advanced,
        "tag": done.tag,
        "ledger": done.ledger,
        "logs": str(done.logs) if done.logs else None,
        "excerpt": list(done.excerpt),
    }


def log_lines(rows: Sequence[RecordRow], now: str | None, *, everything: bool) -> Iterator[str]:
    """Yield a table of records, with a line where the instrument changed.

    Args:
        rows: the records, oldest first.
        now: the present instrument of the base branch; None when unknown.
        everything: whether the records belong to several plans; a column then names them.
    """
    table = [("plan", *_HEADINGS) if everything else _HEADINGS]
    for row in rows:
        delta = "" if row.delta is None else f"{'+' if row.delta > 0 else ''}{number_text(row.delta)}"
        columns = (
            row.id,
            row.commit[:8],
            row.branch or "-",
            "baseline" if row.kind == "baseline" and row.valid else row.verdict,
            "" if row.value is None else number_text(row.value),
            delta,
            REASONS.get(row.reason or "", row.reason or ""),
        )
        table.append((row.plan, *columns) if everything else columns)
    lines = in_columns(table, right=("value", "delta"))
    yield next(lines)
    changed = {
        change.record: change
        for change in instrument_changes((row.id, row.plan, row.instrument) for row in rows)
    }
    for row, line in zip(rows, lines, strict=True):
        if change := changed.get(row.id):
            of = f" of plan '{row.plan}'" if everything else ""
            both = f"{change.instrument[:12]}, before it {change.before[:12]}"
            yield f"-- another instrument{of} from here on: {both}"
        yield line
    last = {row.plan: row.instrument for row in rows if row.instrument is not None}
    for plan, instrument in last.items():
        if now not in (None, instrument) and not everything:
            yield (
                f"-- the base branch has another instrument now: {str(now)[:12]}; "
                f"the best of '{plan}' is measured again before the next record from there"
            )


def details(record: Record) -> Iterator[str]:
    """Yield the details of one record."""
    yield f"record {record.id} ({record.kind} of plan '{record.plan}')"
    yield f"  {record.verdict}: {record.summary}"
    yield from _field_lines(record)
    for metric in record.metrics:
        samples = ", ".join(number_text(sample) for sample in metric.samples[:10])
        more = f" and {len(metric.samples) - 10} more" if len(metric.samples) > 10 else ""
        yield (
            f"  metric       {metric.name}: median {number_text(metric.median)} {metric.unit}, "
            f"spread {number_text(metric.spread)}, {metric.better} is better; samples {samples}{more}"
        )
    if record.comparison is not None:
        yield from _comparison_lines(record.comparison)
    for name, lines in (
        ("change", record.change_summary),
        ("file", record.files),
        ("broken", record.violations),
        ("note", record.notes),
    ):
        for line in lines:
            yield f"  {name:<12} {_first_line(line)}"


def _comparison_lines(pairs: RecordedComparison) -> Iterator[str]:
    """Yield the comparison of a noisy metric."""
    level = "" if pairs.level is None else f" (a gain was found at {pairs.level:.2g})"
    span = "open" if pairs.low is None or pairs.high is None else f"{pairs.low:+.4g} to {pairs.high:+.4g}"
    yield f"  compared     with {pairs.rival}, {pairs.runs} runs, {len(pairs.orders)} rounds: {pairs.ending}"
    yield f"  effect       {pairs.effect:+.4g}, {100 * pairs.confidence:g} % interval {span}"
    p = f"{pairs.p:.2g}" if pairs.adjusted_p is None else f"{pairs.p:.2g} ({pairs.adjusted_p:.2g} adjusted)"
    yield f"  p            {p}; comparison {pairs.number} may spend {pairs.alpha:.2g}{level}"


def comparison(done: RecordComparison) -> Iterator[str]:
    """Yield two records side by side, and their difference."""
    first, second = done.first, done.second
    rows = [
        ("", "A", "B"),
        ("record", first.id, second.id),
        ("commit", first.commit[:12], second.commit[:12]),
        ("branch", first.branch or "-", second.branch or "-"),
        ("verdict", first.verdict, second.verdict),
        ("value", _value_text(first), _value_text(second)),
        ("tests", _tests_text(first), _tests_text(second)),
        ("instrument", (first.instrument or "-")[:12], (second.instrument or "-")[:12]),
        ("environment", (first.environment_digest or "-")[:12], (second.environment_digest or "-")[:12]),
    ]
    yield from in_columns(rows)
    if done.unlike is not None:
        yield f"not comparable: {done.unlike}"
        return
    assert done.difference is not None
    metric = first.metrics[0]
    gained = done.difference < 0 if metric.better == "lower" else done.difference > 0
    outcome = "equal" if done.difference == 0 else "better" if gained else "worse"
    share = f", {100 * done.difference / first.value:+.2f} %" if first.value else ""
    sign = "+" if done.difference > 0 else ""
    yield f"B is {outcome}: {sign}{number_text(done.difference)} {metric.unit}{share}"


def _field_lines(record: Record) -> Iterator[str]:
    pairs = (
        ("commit", record.commit or "unknown"),
        ("base", record.base or "unknown"),
        ("branch", record.branch or ""),
        ("tree", record.tree),
        ("patch id", record.patch_id or ""),
        ("instrument", record.instrument or "unknown"),
        ("its tests", record.instrument_tests or ""),
        ("environment", record.environment_digest or ""),
        ("tests", _tests_text(record)),
        ("threshold", _threshold_text(record)),
        ("strategy", ", ".join(record.strategy)),
        ("hypothesis", _first_line(record.hypothesis)),
        ("directive", record.directive or ""),
        (
            "agents",
            ", ".join(f"{role} {_agent_name(agent)}" for role, agent in record.agents.items() if agent),
        ),
        ("usage", ", ".join(f"{name} {count:,}" for name, count in record.usage.items())),
        ("seconds", ", ".join(f"{name} {value:g}" for name, value in record.seconds.items())),
        ("cached from", record.cached_from or ""),
        ("created", record.created_at),
    )
    for name, value in pairs:
        if value:
            yield f"  {name:<12} {value}"


def in_columns(rows: Sequence[tuple[str, ...]], right: Sequence[str] = ()) -> Iterator[str]:
    """Lay rows out in columns under the headings of the first; those named are aligned to the right."""
    shape = "  ".join(
        f"{{:{'>' if name in right else '<'}{max(map(len, column))}}}"
        for name, column in zip(rows[0], zip(*rows, strict=True), strict=True)
    )
    for row in rows:
        yield shape.format(*row).rstrip()


def _cache_note(record: Record) -> str:
    if record.cached_from:
        return f"not measured now; {record.cached_from} has the same tree, instrument and environment"
    return "this commit was recorded before; --force measures it again"


def _value_text(record: Record) -> str:
    if record.value is None:
        return "-"
    metric = record.metrics[0]
    unit = metric.unit if metric.unit != metric.name else ""
    return f"{metric.name} {number_text(metric.median)} {unit}".strip()


def _tests_text(record: Record) -> str:
    if record.tests is None:
        return "-"
    skipped = f", {record.tests.skipped} skipped" if record.tests.skipped else ""
    failed = f", {record.tests.failed} failed" if record.tests.failed else ""
    return f"{record.tests.passed} of {record.tests.collected} passed{failed}{skipped}"


def _threshold_text(record: Record) -> str:
    if record.threshold is None:
        return ""
    return f"{number_text(record.threshold)} ({'reached' if record.threshold_met else 'not reached'})"


def _agent_name(agent: Any) -> str:
    if not isinstance(agent, dict):
        return str(agent)
    name = f"{agent.get('name')} ({agent['model']})" if agent.get("model") else str(agent.get("name"))
    return f"{name}, sandbox: {agent['sandbox']}" if agent.get("sandbox") else name


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return (lines[0] + (" …" if len(lines) > 1 else "")) if lines else ""
