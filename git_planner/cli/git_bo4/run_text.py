"""Show runs of tournaments and their variants to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from git_planner.rules.printable import counted, printable_line
from git_planner.rules.refnames import number_text
from git_planner.rules.tournament.run import STAGES

if TYPE_CHECKING:
    from git_planner.flows.tournament.run_store import RunView
    from git_planner.rules.tournament.run import TournamentRun
    from git_planner.rules.tournament.variant import Variant

_SHOWN_APART = ("schema", "turn", "number", "state", "error", "gates", "screening", "confirmation", "score")


def run_lines(view: RunView) -> Iterator[str]:
    """Yield a run for people: stages as they are played, then variants."""
    # No text of a service or an agent may look like a line of its own.
    return map(printable_line, _run_lines(view))


def variant_lines(variant: Variant) -> Iterator[str]:
    """Yield a variant for people, with its gates and figures."""
    return map(printable_line, _variant_lines(variant))


def _run_lines(view: RunView) -> Iterator[str]:
    run = view.run
    yield f"RUN: {run.run} (bo4/{run.run}/run)"
    yield f"BASE: {run.base_ref} {run.base[:12]}"
    where = f", environment {run.environment}" if run.environment else ""
    task = f", task {run.task_id}" if run.task_id else ""
    yield f"SOURCE: {run.kind}, {_size(run)}{where}{task}"
    yield f"TURN: {run.turn.turn}"
    known = [name for name in STAGES if name in run.stages]
    for name in known:
        stage = run.stages[name]
        stale = "" if run.stage(name) else " (stale: of an earlier turn)"
        message = f": {stage.message}" if stage.message else ""
        yield f"  {name:<8} {stage.outcome}{message}{stale}"
    for variant in view.current:
        yield f"  {variant.name:<8} {_variant_state(variant)}"
    if run.selection:
        yield f"SELECTED: {run.selection.get('rationale', '')}"


def _variant_lines(variant: Variant) -> Iterator[str]:
    yield f"{variant.name}: {_variant_state(variant)}"
    for name, value in variant.document().items():
        if name not in _SHOWN_APART and value not in (None, {}, []):
            yield f"  {name.replace('_', ' '):<16} {_plain(value)}"
    if variant.gates is not None:
        yield from _gate_lines(variant.gates)
    for name in ("screening", "confirmation", "score"):
        yield from _figure_lines(name, getattr(variant, name) or {})


def _size(run: TournamentRun) -> str:
    """Return how many variants a run has asked for."""
    references = run.source.get("refs")
    if isinstance(references, list):
        return counted(len(references), "reference")
    return str(run.source.get("folder")) if run.kind == "patches" else f"best of {run.attempts}"


def _variant_state(variant: Variant) -> str:
    parts: list[str] = [variant.state]
    if variant.source_id and not variant.source_id.isdigit():
        parts.append(f"'{variant.source_id}'")
    if variant.reported and variant.reported != variant.state:
        parts.append(f"'{variant.reported}'")
    if variant.same_as:
        parts.append(f"same as v{variant.same_as}")
    if variant.files is not None:
        parts.append(f"+{variant.added or 0}/-{variant.removed or 0} in {counted(variant.files, 'file')}")
    if variant.gates is not None:
        failed = [_text(row, "name") for row in _rows(variant.gates) if row.get("verdict") != "passed"]
        words = "gates failed" + (f": {', '.join(failed)}" if failed else "")
        parts.append("gates passed" if variant.passes else words)
    if figure := _figure(variant.screening or {}):
        parts.append(figure)
    if variant.error:
        parts.append(f"{variant.error.get('code')}: {variant.error.get('message')}")
    return ", ".join(parts)


def _figure(screening: Mapping[str, Any]) -> str:
    """Return the measured value with its gain, or why there is none."""
    values, gain = screening.get("values"), screening.get("gain")
    if not isinstance(values, list) or not values or not isinstance(gain, int | float):
        return f"not measured: {screening['text']}" if screening.get("text") else ""
    value = f"{_number(sum(values) / len(values))} {screening.get('unit') or ''}".strip()
    return f"{screening.get('metric')} {value}, gain {_number(gain)}"


def _gate_lines(gates: Mapping[str, Any]) -> Iterator[str]:
    for row in _rows(gates):
        code = f" {row['code']}" if row.get("code") else ""
        message = f": {row['message']}" if row.get("message") else ""
        optional = "" if row.get("required", True) else " (not required)"
        yield f"  {'gate':<16} {_text(row, 'name')} {_text(row, 'verdict')}{code}{message}{optional}"
        if row.get("log"):
            yield f"  {'':<16} its output: {row['log']}"


def _figure_lines(name: str, figures: Mapping[str, Any]) -> Iterator[str]:
    for key, value in figures.items():
        text = value.get("text") if isinstance(value, Mapping) and "text" in value else _plain(value)
        yield f"  {name:<16} {key.replace('_', ' ')}: {text}"


def _rows(gates: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    results = gates.get("results")
    return [row for row in results if isinstance(row, Mapping)] if isinstance(results, list) else []


def _text(row: Mapping[str, Any], name: str) -> str:
    return str(row.get(name, "?"))


def _plain(value: Any) -> str:
    """Return a value of a document for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    return number_text(float(f"{value:.6g}"))
