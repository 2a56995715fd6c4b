"""Plots of a metric over the iterations of a plan, in the terminal and as SVG.

matplotlib and plotext are optional: they come with `pip install 'git-planner[plot]'`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules.records.record import Record, is_better

# verdict -> (marker in the terminal, marker in the SVG, colour)
LOOKS = {
    "baseline": ("o", "s", "#555555"),
    "improved": ("+", "o", "#1a7f37"),
    "within_noise": ("=", "D", "#9a6700"),
    "worse": ("-", "v", "#cf222e"),
    "invalid": ("x", "x", "#8250df"),
    "unmeasured": ("?", "P", "#6e7781"),
}


@dataclass(frozen=True, slots=True)
class Point:
    """One record in a plot: where it stands, its value (None when it has none), and how it was judged."""

    x: int
    value: float | None
    look: str


@dataclass(frozen=True, slots=True)
class Series:
    """What is plotted: the points, and the best value after each of them (None before the first)."""

    name: str
    unit: str
    points: tuple[Point, ...]
    best: tuple[float | None, ...]

    def document(self) -> dict[str, Any]:
        """The series as JSON."""
        return {"schema": "git-planner/plot@1", **asdict(self)}


def series(records: Sequence[Record]) -> Series:
    """Arrange records in the order in which they were made.

    Args:
        records: the records of one plan, oldest first; those of an iteration stand at its number, others at
            the place after the one before.
    """
    measured = next((record.metrics[0] for record in records if record.metrics), None)
    points, best = [], []
    top: float | None = None
    place = -1
    for record in records:
        place = record.iteration if record.iteration is not None else place + 1
        look = "baseline" if record.kind == "baseline" else record.verdict
        points.append(Point(place, record.value, look))
        if record.valid and record.value is not None:
            direction = record.metrics[0].better
            top = record.value if top is None or is_better(record.value, top, direction) else top
        best.append(top)
    name, unit = (measured.name, measured.unit) if measured else ("metric", "")
    return Series(name, unit, tuple(points), tuple(best))


def terminal(drawn: Series, *, width: int = 78, height: int = 18) -> str:
    """Draw a series with characters only, without colour.

    Args:
        drawn: what to draw.
        width, height: the size in columns and lines.

    Raises:
        PlannerError: E_MISSING_EXTRA.
    """
    try:
        import plotext as plot
    except ImportError:
        raise _missing("plotext") from None
    plot.clear_figure()
    plot.theme("clear")
    plot.plotsize(width, height)
    steps = _steps(drawn)
    if steps:
        plot.plot([x for x, _ in steps], [y for _, y in steps], marker=".")
    legend = [". best so far"] if steps else []
    for look, xs, ys in _groups(drawn):
        plot.scatter(xs, ys, marker=LOOKS[look][0])
        legend.append(f"{LOOKS[look][0]} {_name(look)}")
    plot.title(_title(drawn))
    plot.xlabel("iteration")
    plot.xticks(sorted({point.x for point in drawn.points}))
    plot.yticks(*_ticks(drawn))
    text = str(plot.uncolorize(plot.build()))
    plot.clear_figure()
    return "\n".join(line.rstrip() for line in [*text.splitlines(), "   ".join(legend)])


def svg(drawn: Series) -> bytes:
    """Draw a series as an SVG image; the same series gives the same bytes.

    Raises:
        PlannerError: E_MISSING_EXTRA.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError:
        raise _missing("matplotlib") from None
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    canvas: Any = FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    steps = _steps(drawn)
    if steps:
        axes.plot([x for x, _ in steps], [y for _, y in steps], color="#0969da", lw=1.2, label="best so far")
    for look, xs, ys in _groups(drawn):
        _, marker, colour = LOOKS[look]
        axes.scatter(xs, ys, marker=marker, color=colour, zorder=3, label=_name(look))
    axes.set_title(_title(drawn))
    axes.set_xlabel("iteration")
    axes.set_ylabel(drawn.unit or drawn.name)
    axes.set_xticks(sorted({point.x for point in drawn.points}))
    axes.grid(visible=True, alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    out = io.BytesIO()
    with rc_context({"svg.hashsalt": "git-planner", "svg.fonttype": "none"}):
        canvas.print_svg(out, metadata={"Date": None})
    return out.getvalue()


def _title(drawn: Series) -> str:
    return f"{drawn.name} over the iterations"


def _ticks(drawn: Series, count: int = 6) -> tuple[list[float], list[str]]:
    """Evenly spaced values with their labels; whole numbers where all that is drawn is whole."""
    values = [point.value for point in drawn.points if point.value is not None]
    if not values:
        return [], []
    low, high = min(values), max(values)
    ticks = [low + (high - low) * step / (count - 1) for step in range(count)]
    if all(float(value).is_integer() for value in values):
        ticks = sorted({float(round(tick)) for tick in ticks})
    return ticks, [f"{tick:.6g}" for tick in ticks]


def _name(look: str) -> str:
    return look.replace("_", " ")


def _steps(drawn: Series) -> list[tuple[int, float]]:
    steps: list[tuple[int, float]] = []
    for point, best in zip(drawn.points, drawn.best, strict=True):
        if best is None:
            continue
        if steps and steps[-1][1] != best:
            steps.append((point.x, steps[-1][1]))
        steps.append((point.x, best))
    return steps


def _groups(drawn: Series) -> Iterable[tuple[str, list[int], list[float]]]:
    """Points by look. What has no value is drawn at the best value of its time, or not at all before that."""
    for look in LOOKS:
        xs, ys = [], []
        for point, best in zip(drawn.points, drawn.best, strict=True):
            value = point.value if point.value is not None else best
            if point.look == look and value is not None:
                xs.append(point.x)
                ys.append(value)
        if xs:
            yield look, xs, ys


def _missing(name: str) -> PlannerError:
    return PlannerError(
        "E_MISSING_EXTRA",
        f"'{name}' is not installed, which draws the plots",
        hint="pip install 'git-planner[plot]'",
    )
