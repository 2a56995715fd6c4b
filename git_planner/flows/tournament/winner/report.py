"""Collect what the text of a winner's pull request tells, from the documents of its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from git_planner.flows.tournament.run_store import RunView
from git_planner.rules import refnames
from git_planner.rules.policy.policy import Metric
from git_planner.rules.printable import counted
from git_planner.rules.tournament.variant import Variant
from git_planner.rules.tournament.winner import compose as rules
from git_planner.rules.tournament.winner.ship_text import Figure, ShipReport, VariantRow


def ship_report(view: RunView, composition: Mapping[str, Any], metric: Metric | None) -> ShipReport:
    """Return the report of a run's winner.

    Args:
        view: the run, with its selection.
        composition: the composition of the winner.
        metric: the deciding metric of the policy, if there is one.
    """
    run, selection = view.run, view.run.selection or {}
    single = rules.whole_variant(composition)
    modules = () if single is not None else rules.modules_of(composition)
    screenings = (variant.screening or {} for variant in view.current)
    base = next((screening["base"] for screening in screenings if "base" in screening), None)
    return ShipReport(
        run=run.run,
        prompt=view.prompt,
        turn=run.turn.turn,
        winner=f"v{single}" if single is not None else f"a composition of {len(modules)} modules",
        rationale=str(selection.get("rationale", "")),
        commit=str(selection.get("commit", "")),
        base=refnames.short_name(run.base_ref),
        base_commit=run.base,
        metric=metric.name if metric else "",
        unit=metric.unit if metric else "",
        figure=_winner_figure(view, selection, metric),
        base_value=_mean(base),
        gates=_gate_rows(selection.get("gates")),
        modules=tuple(
            (module.module, module.version, f"v{module.variant}" if module.variant else "-")
            for module in modules
        ),
        left_out=selection.get("left_out", {}),
        variants=tuple(_row(variant, selection, metric) for variant in view.current),
        compose_sha256=rules.digest(composition),
    )


def _winner_figure(view: RunView, selection: Mapping[str, Any], metric: Metric | None) -> Figure | None:
    variant = selection.get("variant")
    if variant is not None:
        return _figure(view.variant(int(variant)), metric)
    return _compared_figure(selection.get("figures", {}), metric)


def _figure(variant: Variant, metric: Metric | None) -> Figure | None:
    """Return the figure of a variant: of its confirmation against the base, else of the screening."""
    confirmed = _compared_figure((variant.confirmation or {}).get("base"), metric)
    if confirmed is not None:
        return confirmed
    screening = variant.screening or {}
    value = _mean(screening.get("values"))
    return None if value is None else Figure(value, _mean(screening.get("gain")))


def _compared_figure(figures: Mapping[str, Any] | None, metric: Metric | None) -> Figure | None:
    """Return the figure of a comparison, in pairs or of two values."""
    figures = figures or {}
    value = _mean(figures.get("candidate", figures.get("value")))
    if value is None or metric is None:
        return None
    effect, low, high = (_mean(figures.get(key)) for key in ("effect", "low", "high"))
    if effect is None:
        return Figure(value, _mean(figures.get("gain")))
    if metric.better == "lower":
        effect, low, high = -effect, None if high is None else -high, None if low is None else -low
    return Figure(value, effect, low, high)


def _mean(value: Any) -> float | None:
    """Return a number, or the mean of a list of numbers; None for anything else."""
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        numbers = [number for number in map(_mean, value) if number is not None]
        return sum(numbers) / len(numbers) if numbers else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _gate_rows(gates: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    # The gates of the winner itself, or those that its variant has passed.
    results = ((gates or {}).get("shipping") or gates or {}).get("results", ())
    return tuple((str(row["name"]), _gate_text(row)) for row in results)


def _gate_text(row: Mapping[str, Any]) -> str:
    return str(row["verdict"]) + (f": {row['message']}" if row.get("message") else "")


def _row(variant: Variant, selection: Mapping[str, Any], metric: Metric | None) -> VariantRow:
    size = (
        ""
        if variant.files is None
        else f"+{variant.added or 0}/-{variant.removed or 0}, {counted(variant.files, 'file')}"
    )
    agent = [str(variant.agent[key]) for key in ("agent", "model", "effort") if variant.agent.get(key)]
    return VariantRow(
        name=variant.name,
        state=variant.state,
        gates=_gates_text(variant),
        size=size,
        figure=_figure(variant, metric),
        agent=" ".join(agent),
        why=rejection(variant, selection),
    )


def _gates_text(variant: Variant) -> str:
    if variant.gates is None:
        return ""
    if variant.passes:
        return "passed"
    failed = [row["name"] for row in variant.gates.get("results", ()) if row.get("verdict") != "passed"]
    return "failed" + (f": {', '.join(map(str, failed))}" if failed else "")


def rejection(variant: Variant, selection: Mapping[str, Any]) -> str:
    """Return why a variant was not chosen; empty if it was, as a whole or for some module."""
    if variant.number == selection.get("variant") or variant.number in selection.get("modules", {}).values():
        return ""
    if variant.error:
        return f"{variant.error['code']}: {variant.error['message']}"
    if variant.commit is None:
        note = f", {variant.note}" if variant.note else ""
        return f"it has no commit: its state is '{variant.state}'{note}"
    if variant.same_as is not None:
        return f"it is the same patch as v{variant.same_as}"
    if not variant.passes:
        return (
            "it has not been through the gates"
            if variant.gates is None
            else f"its gates {_gates_text(variant)}"
        )
    return _measured_rejection(variant, _mean((selection.get("figures") or {}).get("gain")))


def _measured_rejection(variant: Variant, best: float | None) -> str:
    screening, confirmation = variant.screening or {}, variant.confirmation or {}
    if "reason" in screening:
        return f"it could not be measured: {screening.get('text', screening['reason'])}"
    for against, figures in confirmation.items():
        if isinstance(figures, Mapping) and figures.get("better") is False:
            return f"it is not proven better than {against}: {figures.get('text', '')}"
    gain = _mean(screening.get("gain"))
    if gain is None:
        return "it was not chosen"
    if gain <= 0:
        return "it gains nothing over the base"
    return (
        "another variant gains as much with a smaller patch" if gain == best else "another variant gains more"
    )
