"""Plots of a metric over the iterations of a plan, in the terminal and as SVG.

matplotlib and plotext are optional: they come with `pip install 'git-planner[plot]'`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules.records.ranking import is_better
from git_planner.rules.records.record import Record

# verdict -> (marker in the terminal, marker in the SVG, colour)
LOOKS = {
    "baseline": ("o", "s", "#555555"),
    "improved": ("+", "o", "#1a7f37"),
    "within_noise": ("=", "D", "#9a6700"),
    "worse": ("-", "v", "#cf222e"),
    "invalid": ("x", "x", "#8250df"),
    "unmeasured": ("?", "P", "#6e7781"),
    "disputed": ("!", "X", "#bf3989"),
}

# Axes need room around the values, and squares of distances.
_LARGEST = 1e100


@dataclass(frozen=True, slots=True)
class PlotPoint:
    """One record in a plot: its iteration, its value (None if it has none), and its look by verdict."""

    x: int
    value: float | None
    look: str


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one metric: the points, and the best value after each of them (None before the first)."""

    name: str
    unit: str
    points: tuple[PlotPoint, ...]
    best: tuple[float | None, ...]

    def document(self) -> dict[str, Any]:
        """Return the series as a JSON document."""
        return {"schema": "git-planner/plot@1", **asdict(self)}


def make_series(records: Sequence[Record]) -> Series:
    """Return the series of the deciding metric in a plan's records.

    Args:
        records: the records of one plan, oldest first. A record without an iteration is placed one after the
            record before it.
    """
    measured = next((record.metrics[0] for record in records if record.metrics), None)
    points, best = [], []
    top: float | None = None
    x = -1
    for record in records:
        x = record.iteration if record.iteration is not None else x + 1
        look = "baseline" if record.kind == "baseline" else record.verdict
        points.append(PlotPoint(x, record.value, look))
        if record.valid and record.value is not None:
            direction = record.metrics[0].better
            top = record.value if top is None or is_better(record.value, top, direction) else top
        best.append(top)
    name, unit = (measured.name, measured.unit) if measured else ("metric", "")
    return Series(name, unit, tuple(points), tuple(best))


def draw_terminal(series: Series, *, width: int = 78, height: int = 18) -> str:
    """Draw a series as text, without colour.

    Args:
        series: the series to draw.
        width, height: the size in columns and lines.

    Raises:
        PlannerError: E_MISSING_EXTRA, E_PLOT.
    """
    _check_drawable(series)
    try:
        import plotext as plot
    except ImportError:
        raise _missing_extra("plotext") from None
    plot.clear_figure()
    plot.theme("clear")
    plot.plotsize(width, height)
    steps = _best_steps(series)
    if steps:
        plot.plot([x for x, _ in steps], [y for _, y in steps], marker=".")
    legend = [". best so far"] if steps else []
    for look, xs, ys in _points_by_look(series):
        plot.scatter(xs, ys, marker=LOOKS[look][0])
        legend.append(f"{LOOKS[look][0]} {_label(look)}")
    plot.title(_title(series))
    plot.xlabel("iteration")
    plot.xticks(sorted({point.x for point in series.points}))
    plot.yticks(*_ticks(series))
    text = str(plot.uncolorize(plot.build()))
    plot.clear_figure()
    return "\n".join(line.rstrip() for line in [*text.splitlines(), "   ".join(legend)])


def draw_svg(series: Series) -> bytes:
    """Draw a series as an SVG image; the same series gives the same bytes.

    Raises:
        PlannerError: E_MISSING_EXTRA, E_PLOT.
    """
    _check_drawable(series)
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError:
        raise _missing_extra("matplotlib") from None
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    canvas: Any = FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    steps = _best_steps(series)
    if steps:
        axes.plot([x for x, _ in steps], [y for _, y in steps], color="#0969da", lw=1.2, label="best so far")
    for look, xs, ys in _points_by_look(series):
        _, marker, colour = LOOKS[look]
        axes.scatter(xs, ys, marker=marker, color=colour, zorder=3, label=_label(look))
    axes.set_title(_title(series))
    axes.set_xlabel("iteration")
    axes.set_ylabel(series.unit or series.name)
    axes.set_xticks(sorted({point.x for point in series.points}))
    axes.grid(visible=True, alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    out = io.BytesIO()
    with rc_context({"svg.hashsalt": "git-planner", "svg.fonttype": "none"}):
        canvas.print_svg(out, metadata={"Date": None})
    return out.getvalue()


def _check_drawable(series: Series) -> None:
    """Refuse values whose differences a plot cannot compute.

    Raises:
        PlannerError: E_PLOT.
    """
    extreme = [point.value for point in series.points if abs(point.value or 0) > _LARGEST]
    if extreme:
        raise PlannerError(
            "E_PLOT",
            f"'{series.name}' has the value {extreme[0]:g}, which is too large to be drawn",
            hint="print the values with 'git record log'",
        )


def _title(series: Series) -> str:
    return f"{series.name} over the iterations"


def _ticks(series: Series, count: int = 6) -> tuple[list[float], list[str]]:
    """Return evenly spaced values with their labels; integers if all values are integers."""
    values = [point.value for point in series.points if point.value is not None]
    if not values:
        return [], []
    low, high = min(values), max(values)
    ticks = [low + (high - low) * step / (count - 1) for step in range(count)]
    if all(float(value).is_integer() for value in values):
        ticks = sorted({float(round(tick)) for tick in ticks})
    return ticks, [f"{tick:.6g}" for tick in ticks]


def _label(look: str) -> str:
    return look.replace("_", " ")


def _best_steps(series: Series) -> list[tuple[int, float]]:
    steps: list[tuple[int, float]] = []
    for point, best in zip(series.points, series.best, strict=True):
        if best is None:
            continue
        if steps and steps[-1][1] != best:
            steps.append((point.x, steps[-1][1]))
        steps.append((point.x, best))
    return steps


def _points_by_look(series: Series) -> Iterable[tuple[str, list[int], list[float]]]:
    """Group the points by look. A point without a value is placed at the best value so far."""
    for look in LOOKS:
        xs, ys = [], []
        for point, best in zip(series.points, series.best, strict=True):
            value = point.value if point.value is not None else best
            if point.look == look and value is not None:
                xs.append(point.x)
                ys.append(value)
        if xs:
            yield look, xs, ys


def _missing_extra(name: str) -> PlannerError:
    return PlannerError(
        "E_MISSING_EXTRA",
        f"'{name}', which draws plots, is not installed",
        hint="pip install 'git-planner[plot]'",
    )
